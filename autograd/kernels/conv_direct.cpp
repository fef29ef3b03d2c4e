// Convolutions without columns: images are laid out with their margins, a band at a time that stays in the cache, so that
// the loops of wide.h read them as they lie.  conv goes to windows, and conv_transpose to images, which are the windows
// of convolutions too: of one for each phase of the stride, which is q·stride + phase.
#include "conv_direct.h"

#include "conv_columns.h"
#include "threads.h"
#include "wide.h"

#include <array>
#include <vector>

namespace ebb::kernels::direct {

namespace {

using wide::ConvLoops, wide::conv_loops, wide::Places, wide::slack, wide::Windows;

constexpr std::int64_t most_taps = 32, most_stride = 4;
constexpr std::int64_t most_lanes = 16;  // so that scratch does not depend on the machine
constexpr double cached = 96 * 1024;     // numbers of a band
constexpr double enough = 2e6;           // products that are worth a part of their own

/// One axis: window q of a phase reads the source at q·stride - lead + tap.at, and goes to the place to + (q - begin)·step.
struct Way {
  struct Tap {
    std::int64_t number = 0, at = 0;
  };
  struct Phase {
    std::int64_t begin = 0, end = 0, to = 0, step = 1, count = 0;
    std::array<Tap, most_taps> taps{};
  };
  std::int64_t source = 0, target = 0;  // positions
  std::int64_t stride = 1, lead = 0, reach = 1;
  std::int64_t begin = 0, end = 0;  // of all phases' windows
  std::int64_t count = 1;
  std::array<Phase, most_stride> phases{};

  std::int64_t band = 1;  // windows laid out at a time
  std::int64_t bands() const { return (end - begin + band - 1) / band; }
  std::int64_t length() const { return (band - 1) * stride + reach; }
};

Way to_windows(const Axis& a) {
  Way way;
  way.source = a.image, way.target = a.windows;
  way.stride = a.stride, way.lead = a.padding, way.reach = (a.size - 1) * a.dilation + 1;
  way.end = a.windows;
  Way::Phase& all = way.phases[0];
  all.end = a.windows, all.count = a.size;
  for (std::int64_t k = 0; k < a.size; ++k) all.taps[static_cast<std::size_t>(k)] = {k, k * a.dilation};
  return way;
}

Way to_image(const Axis& a) {
  Way way;
  way.source = a.windows, way.target = a.image;
  way.lead = (a.size - 1) * a.dilation / a.stride, way.reach = way.lead + 1;
  way.count = a.stride;
  way.begin = (a.image + a.padding) / a.stride, way.end = 0;
  for (std::int64_t f = 0; f < a.stride; ++f) {
    Way::Phase& phase = way.phases[static_cast<std::size_t>(f)];
    phase.step = a.stride;
    phase.begin = a.padding <= f ? 0 : (a.padding - f - 1) / a.stride + 1;  // position q·stride + f - padding
    phase.to = phase.begin * a.stride + f - a.padding;
    phase.end = phase.begin + (phase.to < a.image ? (a.image - 1 - phase.to) / a.stride + 1 : 0);
    if (phase.begin < phase.end) way.begin = std::min(way.begin, phase.begin), way.end = std::max(way.end, phase.end);
    for (std::int64_t k = 0; k < a.size; ++k)
      if (k * a.dilation % a.stride == f)
        phase.taps[static_cast<std::size_t>(phase.count++)] = {k, way.lead - (k * a.dilation - f) / a.stride};
  }
  return way;
}

/// A convolution as it is laid out.
struct Plan {
  Way h, w;
  std::int64_t n, groups, channels, lanes;  // channels of the source; lanes, of the result
  std::int64_t channel_step, lane_step;     // in the weight
  std::int64_t kernel, kernel_width, phase_pitch = 0, pitch = 0, plane = 0, parts = 1;

  Plan(const Convolution& c, bool back)
      : h(back ? to_image(c.h) : to_windows(c.h)),
        w(back ? to_image(c.w) : to_windows(c.w)),
        n(c.n),
        groups(c.groups),
        channels(back ? c.out : c.in),
        lanes(back ? c.in : c.out),
        kernel(c.h.size * c.w.size),
        kernel_width(c.w.size) {
    channel_step = back ? c.in * kernel : kernel;
    lane_step = back ? kernel : c.in * kernel;
    const double work =
        static_cast<double>(n * groups * c.h.windows * c.w.windows) * static_cast<double>(c.in * c.out * kernel);
    const double wanted = std::clamp(work / enough, 1.0, 8.0);
    const std::int64_t rows = std::max<std::int64_t>(1, h.end - h.begin),
                       columns = std::max<std::int64_t>(1, w.end - w.begin);
    w.band = columns, h.band = rows;
    const auto laid_out = [&] { return static_cast<double>(channels * h.length()) * static_cast<double>(w.length()); };
    if (const double all = laid_out(); all > cached)
      h.band = std::max<std::int64_t>(1, static_cast<std::int64_t>(static_cast<double>(rows) * cached / all));
    if (const double all = laid_out(); all > 4 * cached)
      w.band = std::clamp<std::int64_t>(static_cast<std::int64_t>(static_cast<double>(columns) * cached / all),
                                        std::min<std::int64_t>(64, columns), columns);
    const double units = static_cast<double>(n * groups * w.bands());
    if (const double each = wanted / std::max(1.0, units); each > 1)
      h.band = std::clamp<std::int64_t>(static_cast<std::int64_t>(static_cast<double>(rows) / each), 1, h.band);
    phase_pitch = (w.length() + w.stride - 1) / w.stride;
    pitch = phase_pitch * w.stride;
    plane = pitch * h.length();
    parts = static_cast<std::int64_t>(std::clamp(static_cast<double>(this->units()), 1.0, wanted));
  }

  std::int64_t units() const { return n * groups * h.bands() * w.bands(); }
  std::int64_t source_image() const { return h.source * w.source; }
  std::int64_t target_image() const { return h.target * w.target; }
  std::int64_t laid_out() const { return channels * plane + slack; }
  /// Vectors of so few channels would be empty for the most part: they go over windows instead, one channel at a time.
  bool along() const { return lanes < 4; }
  std::int64_t padded_lanes() const { return along() ? lanes : (lanes + most_lanes - 1) / most_lanes * most_lanes; }
  std::int64_t packed() const { return groups * padded_lanes() * channels * kernel; }
};

/// What lies together: one band of the windows of one group of an image.
struct Unit {
  std::int64_t image, group, h, w;  // h, w: the first windows

  Unit(const Plan& p, std::int64_t number) {
    w = p.w.begin + number % p.w.bands() * p.w.band, number /= p.w.bands();
    h = p.h.begin + number % p.h.bands() * p.h.band, number /= p.h.bands();
    group = number % p.groups, image = number / p.groups;
  }
  std::int64_t source(const Plan& p) const { return (image * p.groups + group) * p.channels * p.source_image(); }
  std::int64_t target(const Plan& p) const { return (image * p.groups + group) * p.lanes * p.target_image(); }
};

/// A row with its margins: position j of it is x[first + j], or 0 outside of x; positions of one phase lie together.
template <class T> void lay_out_row(const Plan& p, T* to, const T* x, std::int64_t first) {
  const std::int64_t s = p.w.stride;
  for (std::int64_t phase = 0; phase < s; ++phase, to += p.phase_pitch) {
    const std::int64_t from = first + phase;  // of the phase's position 0
    const std::int64_t begin = std::clamp<std::int64_t>(from >= 0 ? 0 : (-from + s - 1) / s, 0, p.phase_pitch);
    const std::int64_t end =
        from >= p.w.source ? begin : std::clamp<std::int64_t>((p.w.source - 1 - from) / s + 1, begin, p.phase_pitch);
    std::fill(to, to + begin, T(0));
    for (std::int64_t i = begin; i < end; ++i) to[i] = x[from + i * s];
    std::fill(to + end, to + p.phase_pitch, T(0));
  }
}

/// `again`: the part's unit before lay there.
template <class T> void lay_out(const Plan& p, const Unit& u, bool again, T* to, const T* x) {
  const std::int64_t top = u.h * p.h.stride - p.h.lead, left = u.w * p.w.stride - p.w.lead;
  const std::int64_t above = std::clamp<std::int64_t>(-top, 0, p.h.length()),
                     below = std::clamp<std::int64_t>(p.h.source - top, above, p.h.length());
  const std::int64_t first = std::clamp<std::int64_t>(-left, 0, p.pitch),
                     last = std::clamp<std::int64_t>(p.w.source - left, first, p.pitch);
  // Where all units have the same windows, so are their margins, and what is written behind a row is wiped out with its own.
  again = again && p.h.bands() == 1 && p.w.bands() == 1 && last < p.pitch;
  const wide::Rows rows{below - above, p.w.source, last - first, p.pitch, first, again};
  x += u.source(p);
  for (std::int64_t channel = 0; channel < p.channels; ++channel, x += p.source_image(), to += p.plane) {
    if (!again) std::fill_n(to, above * p.pitch, T(0));
    if (p.w.stride == 1)
      conv_loops<T>().lay_out(rows, to + above * p.pitch, x + (top + above) * p.w.source + left + first);
    else
      for (std::int64_t row = above; row < below; ++row)
        lay_out_row(p, to + row * p.pitch, x + (top + row) * p.w.source, left);
    if (!again) std::fill_n(to + below * p.pitch, (p.h.length() - below) * p.pitch, T(0));
  }
}

/// The windows of a phase that are in a unit.
struct Piece {
  std::int64_t begin, end;
  Piece(const Way& way, const Way::Phase& phase, std::int64_t first)
      : begin(std::max(first, phase.begin)), end(std::min(first + way.band, phase.end)) {}
};

/// How many channels of the result go at a time from lane `first` on; `vector` of them make a vector.
std::int64_t block_at(const Plan& p, std::int64_t first, std::int64_t vector) {
  if (p.along()) return 1;
  return p.lanes - first > vector ? 2 * vector : vector;
}

/// The channels of the result, those behind the last that fill its vector among them.
std::int64_t lanes_of(const Plan& p, std::int64_t vector) {
  return p.along() ? p.lanes : (p.lanes + vector - 1) / vector * vector;
}

/// Calls f(h's phase, w's phase) for all.
template <class F> void for_each_phase(const Plan& p, F&& f) {
  for (std::int64_t h = 0; h < p.h.count; ++h)
    for (std::int64_t w = 0; w < p.w.count; ++w)
      f(p.h.phases[static_cast<std::size_t>(h)], p.w.phases[static_cast<std::size_t>(w)]);
}

/// This thread's list of taps, which keeps its memory.
std::vector<std::int64_t>& tap_list() {
  thread_local std::vector<std::int64_t> list;
  list.clear();
  return list;
}

std::int64_t place_of(const Plan& p, std::int64_t channel, std::int64_t h, std::int64_t w) {
  return channel * p.plane + h * p.pitch + w % p.w.stride * p.phase_pitch + w / p.w.stride;
}

/// Lists where the taps read, phase after phase, and packs the weight to [group, phase, block, taps, lanes of the block].
template <class T>
void pack(const Plan& p, std::int64_t vector, std::vector<std::int64_t>& list, T* to, const T* weight) {
  for (std::int64_t g = 0; g < p.groups; ++g)
    for_each_phase(p, [&](const Way::Phase& ph, const Way::Phase& pw) {
      for (std::int64_t first = 0, block = 0; first < p.lanes; first += block) {
        block = block_at(p, first, vector);
        for (std::int64_t channel = 0; channel < p.channels; ++channel)
          for (std::int64_t i = 0; i < ph.count; ++i)
            for (std::int64_t j = 0; j < pw.count; ++j, to += block) {
              const Way::Tap h = ph.taps[static_cast<std::size_t>(i)], w = pw.taps[static_cast<std::size_t>(j)];
              if (g == 0 && first == 0) list.push_back(place_of(p, channel, h.at, w.at));
              const std::int64_t tap = h.number * p.kernel_width + w.number;
              const T* const from = weight + g * p.channels * p.lanes * p.kernel + channel * p.channel_step + tap;
              const std::int64_t wanted = std::min(block, p.lanes - first);
              for (std::int64_t o = 0; o < wanted; ++o) to[o] = from[(first + o) * p.lane_step];
              std::fill(to + wanted, to + block, T(0));
            }
      }
    });
}

/// Calls f(unit, whether another came before it) for the units of a part.
template <class F> void for_each_unit(const Plan& p, std::int64_t part, const F& f) {
  const std::int64_t units = p.units(), begin = part * units / p.parts, end = (part + 1) * units / p.parts;
  for (std::int64_t unit = begin; unit < end; ++unit) f(Unit(p, unit), unit > begin);
}

template <class T> void run(const Plan& p, T* y, const T* x, const T* weight, const T* bias, T* scratch) {
  const ConvLoops<T>& loop = conv_loops<T>();
  T *const packed = scratch, *const start = packed + p.packed(), *const sources = start + p.groups * p.padded_lanes();
  std::vector<std::int64_t>& list = tap_list();
  pack(p, loop.lanes, list, packed, weight);
  const std::int64_t padded = lanes_of(p, loop.lanes);
  for (std::int64_t g = 0; g < p.groups; ++g)
    for (std::int64_t o = 0; o < padded; ++o)
      start[g * padded + o] = bias != nullptr && o < p.lanes ? bias[g * p.lanes + o] : T(0);

  parallel(p.parts, [&, &taps = list](std::int64_t part) {
    T* const source = sources + part * p.laid_out();
    for_each_unit(p, part, [&](const Unit& u, bool again) {
      lay_out(p, u, again, source, x);
      const std::int64_t* tap = taps.data();
      const T* block_weight = packed + u.group * p.channels * p.kernel * padded;
      for_each_phase(p, [&](const Way::Phase& ph, const Way::Phase& pw) {
        const Piece rows(p.h, ph, u.h), columns(p.w, pw, u.w);
        const Windows windows{rows.end - rows.begin, columns.end - columns.begin, p.h.stride * p.pitch, tap,
                              p.channels * ph.count * pw.count};
        const Places to{p.target_image(), p.w.target * ph.step, pw.step};
        T* const target = y + u.target(p) + (ph.to + (rows.begin - ph.begin) * ph.step) * p.w.target + pw.to +
                          (columns.begin - pw.begin) * pw.step;
        const T* const from = source + (rows.begin - u.h) * windows.x_row + columns.begin - u.w;
        for (std::int64_t first = 0, block = 0; first < p.lanes; first += block) {
          block = block_at(p, first, loop.lanes);
          T* const at = target + first * to.channel;
          const T* const begin = start + u.group * padded + first;
          if (p.along()) loop.windows_along(windows, to, at, from, block_weight, *begin);
          else loop.windows(windows, to, block, std::min(block, p.lanes - first), at, from, block_weight, begin);
          block_weight += windows.count * block;
        }
        tap += windows.count;
      });
    });
  });
}

/// How the weight's gradient is summed: taps with a run of neighbours each, whose sums are [block, taps, run, lanes].
struct WeightPlan : Plan {
  std::int64_t run = 1, taps = 0;

  explicit WeightPlan(const Convolution& c) : Plan(c, false) {
    if (c.w.stride == 1 && c.w.dilation == 1 && wide::has_run(c.w.size) && !along()) run = c.w.size;
    taps = c.in * kernel / run;
    // Adding a part's sums to the others' is to cost little beside the products.
    parts = std::clamp<std::int64_t>(c.n * c.h.windows * c.w.windows / 64, 1, parts);
  }
  /// Taps go in groups of at most 8.
  std::int64_t sums() const { return groups * padded_lanes() * (taps + 8) * run; }
  std::int64_t turned() const { return along() ? 0 : padded_lanes() * h.band * w.band; }
  /// The sums of y for each output channel.
  std::int64_t totals() const { return along() ? 0 : groups * padded_lanes(); }
  std::int64_t each() const { return sums() + totals() + turned() + laid_out(); }  // of the parts' scratch
};

template <class T> void run(const WeightPlan& p, T* weight, const T* x, const T* y, T* scratch, T* bias) {
  const ConvLoops<T>& loop = conv_loops<T>();
  std::vector<std::int64_t>& list = tap_list();
  const Way::Phase &ph = p.h.phases[0], &pw = p.w.phases[0];
  for (std::int64_t channel = 0; channel < p.channels; ++channel)
    for (std::int64_t i = 0; i < ph.count; ++i)
      for (std::int64_t j = 0; j < pw.count; j += p.run)
        list.push_back(
            place_of(p, channel, ph.taps[static_cast<std::size_t>(i)].at, pw.taps[static_cast<std::size_t>(j)].at));
  list.resize(list.size() + 8, list.back());
  const auto rounded = [&](std::int64_t block) {
    const std::int64_t group = p.along() ? 1 : loop.group(block, p.run);
    return (p.taps + group - 1) / group * group;
  };
  const std::int64_t each = p.each(), padded = lanes_of(p, loop.lanes);

  parallel(p.parts, [&, &taps = list](std::int64_t part) {
    T *const sums = scratch + part * each, *const totals = sums + p.sums(), *const turned = totals + p.totals(),
             *const source = turned + p.turned();
    std::fill_n(sums, p.sums() + p.totals(), T(0));
    for_each_unit(p, part, [&](const Unit& u, bool again) {
      lay_out(p, u, again, source, x);
      const Piece rows(p.h, ph, u.h), columns(p.w, pw, u.w);
      Windows windows{rows.end - rows.begin, columns.end - columns.begin, p.h.stride * p.pitch, taps.data(), 0};
      const Places from{p.target_image(), p.w.target, 1};
      const T* const image = y + u.target(p) + rows.begin * p.w.target + columns.begin;
      T* sum = sums + u.group * (p.sums() / p.groups);
      for (std::int64_t first = 0, block = 0; first < p.lanes; first += block) {
        block = block_at(p, first, loop.lanes);
        const T* const of_block = image + first * from.channel;
        windows.count = rounded(block);
        if (p.along()) loop.weights_along(windows, from, sum, source, of_block);
        else {
          loop.turn(windows, from, block, std::min(block, p.lanes - first), turned, of_block);
          if (bias != nullptr)
            loop.add_up(windows.rows * windows.columns, block, totals + u.group * padded + first, turned);
          loop.weights(windows, block, p.run, sum, source, turned);
        }
        sum += windows.count * p.run * block;
      }
    });
  });

  for (std::int64_t part = 1; part < p.parts; ++part)
    for (std::int64_t i = 0; i < p.sums() + p.totals(); ++i) scratch[i] += scratch[part * each + i];
  for (std::int64_t o = 0; bias != nullptr && o < p.groups * p.lanes; ++o)
    bias[o] = scratch[p.sums() + o / p.lanes * padded + o % p.lanes];
  for (std::int64_t g = 0; g < p.groups; ++g) {
    const T* sum = scratch + g * (p.sums() / p.groups);
    for (std::int64_t first = 0, block = 0; first < p.lanes; first += block) {
      block = block_at(p, first, loop.lanes);
      for (std::int64_t o = first; o < std::min(first + block, p.lanes); ++o)
        for (std::int64_t i = 0; i < p.channels * p.kernel; ++i)
          weight[(g * p.lanes + o) * p.channels * p.kernel + i] = sum[i * block + o - first];
      sum += rounded(block) * p.run * block;
    }
  }
}

bool ordinary(const Axis& a) { return a.size <= most_taps && a.stride <= most_stride && a.windows > 0 && a.image > 0; }

std::int64_t scratch_of(const Plan& p) { return p.packed() + p.groups * p.padded_lanes() + p.parts * p.laid_out(); }

}  // namespace

bool suits(const Convolution& c, bool back) {
  const auto reach = [](const Axis& a) { return static_cast<double>((a.size - 1) * a.dilation + 1); };
  const bool some = c.n > 0 && c.in > 0 && c.out > 0;
  const bool fits = static_cast<double>(back ? c.out : c.in) * reach(c.h) * (reach(c.w) + 256) < 64 * cached;
  const bool few_made_of_many = back && c.in < 4 && c.out >= 16;  // there BLAS is the faster one
  return some && fits && !few_made_of_many && ordinary(c.h) && ordinary(c.w) && !columns::is_matrix(c);
}

std::int64_t scratch_for(const Convolution& c, bool back) { return scratch_of(Plan(c, back)); }
std::int64_t scratch_for_weight(const Convolution& c) {
  const WeightPlan p(c);
  return p.parts * p.each();
}

template <class T> void conv(const Convolution& c, T* y, const T* x, const T* weight, const T* bias, T* scratch) {
  run(Plan(c, false), y, x, weight, bias, scratch);
}
template <class T>
void conv_transpose(const Convolution& c, T* x, const T* y, const T* weight, const T* bias, T* scratch) {
  run(Plan(c, true), x, y, weight, bias, scratch);
}
template <class T> void conv_weight(const Convolution& c, T* weight, const T* x, const T* y, T* scratch, T* bias) {
  run(WeightPlan(c), weight, x, y, scratch, bias);
}
bool sums_with_weight(const Convolution& c) { return !WeightPlan(c).along(); }

#define EBB_FOR(T)                                                                        \
  template void conv(const Convolution&, T*, const T*, const T*, const T*, T*);           \
  template void conv_transpose(const Convolution&, T*, const T*, const T*, const T*, T*); \
  template void conv_weight(const Convolution&, T*, const T*, const T*, T*, T*);
EBB_FOR(float)
EBB_FOR(double)
#undef EBB_FOR

}  // namespace ebb::kernels::direct
