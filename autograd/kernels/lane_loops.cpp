#include "lane_loops.h"

#include "simd.h"

#include <algorithm>

namespace ebb::kernels {

namespace {

#define EBB_INLINED [[gnu::always_inline]] inline

template <int bytes> struct Vector;
template <> struct Vector<16> { using type [[gnu::vector_size(16), gnu::may_alias]] = double; };
template <> struct Vector<32> { using type [[gnu::vector_size(32), gnu::may_alias]] = double; };
template <> struct Vector<64> { using type [[gnu::vector_size(64), gnu::may_alias]] = double; };

/// What a loop works on: lines of 8 rows.
struct Lines {
  const double* value;
  double* gradient;
  const double* arrived;
  double* room;
};

/// A loop on vectors of so many bytes.  Several lines, one behind the other, are one run of vectors.
template <int bytes> class Run {
  using V = typename Vector<bytes>::type;
  using Work = LaneLoop::Work;
  using Op = Work::Op;
  static constexpr std::size_t width = 8, per_line = width * sizeof(double) / bytes;

 public:
  EBB_INLINED Run(const LaneLoop& loop, const Lines& lines)
      : loop_(loop),
        value_(reinterpret_cast<const V*>(lines.value)),
        gradient_(reinterpret_cast<V*>(lines.gradient)),
        arrived_(reinterpret_cast<const V*>(lines.arrived)),
        chunk_(loop.chunk()) {
    V* const room = reinterpret_cast<V*>(lines.room);
    for (std::size_t k = 0; k < loop.slots; ++k) at_[k] = room + k * chunk_ * per_line;
    // What is the same for all terms.
    const std::size_t terms = std::min<std::size_t>(chunk_, loop.terms);
    fill(at_[loop.arrived], terms, arrived_);
    for (std::size_t k = 0; k < loop.outside.size(); ++k)
      if (loop.outside[k].fixed) fill(at_[k], terms, value_ + loop.outside[k].place[0] * per_line);
    for (const Work& w : loop.once) work(w, terms);
  }

  /// The sum's value.
  EBB_INLINED void forward(double* y) {
    V* const sum = start(y);
    for (std::size_t first = 0; first < loop_.terms; first += chunk_) {
      const std::size_t terms = std::min<std::size_t>(chunk_, loop_.terms - first);
      compute(first, terms);
      add_up(sum, at_[loop_.term], terms);
    }
  }

  /// Computes the terms again, the last first, and sends their gradients.
  EBB_INLINED void backward(V* keep) {
    for (const std::uint32_t place : loop_.clear) std::fill_n(gradient_ + place * per_line, per_line, V{});
    for (std::size_t first = (loop_.terms - 1) / chunk_ * chunk_;; first -= chunk_) {
      const std::size_t terms = std::min<std::size_t>(chunk_, loop_.terms - first);
      if (keep != nullptr) at_[loop_.term] = keep + first * per_line;
      compute(first, terms);
      for (const Work& w : loop_.backward) work(w, terms);
      if (!loop_.by_term) {
        send(first, 0, terms);
      } else {
        for (std::size_t t = terms; t-- > 0;) send(first, t, 1);
      }
      if (first == 0) break;
    }
    if (!loop_.to_start) return;
    V* const to = gradient_ + loop_.start * per_line;
    for (std::size_t i = 0; i < per_line; ++i) to[i] = to[i] + arrived_[i];
  }

  /// Both.
  EBB_INLINED void at_once(double* y, double* room) {
    V* const kept = reinterpret_cast<V*>(room) + loop_.slots * chunk_ * per_line;
    backward(kept);
    add_up(start(y), kept, loop_.terms);
  }

 private:
  EBB_INLINED static void fill(V* to, std::size_t terms, const V* line) {
    for (std::size_t t = 0; t < terms; ++t)
      for (std::size_t i = 0; i < per_line; ++i) to[t * per_line + i] = line[i];
  }

  EBB_INLINED V* start(double* y) const {
    V* const sum = reinterpret_cast<V*>(y);
    std::copy_n(value_ + loop_.start * per_line, per_line, sum);
    return sum;
  }

  EBB_INLINED static void add_up(V* sum, const V* term, std::size_t terms) {
    for (std::size_t i = 0; i < per_line; ++i) {
      V s = sum[i];
      for (std::size_t t = 0; t < terms; ++t) s = s + term[t * per_line + i];
      sum[i] = s;
    }
  }

  /// A piece of work for the first `terms` terms in the slots.
  EBB_INLINED void work(const Work& w, std::size_t terms) const {
    V* const to = at_[w.to];
    const V* const a = at_[w.a];
    const V* const b = at_[w.b];
    const std::size_t end = terms * per_line;
#define EBB_COMPUTED(name, ...)                                \
  case Op::name:                                               \
    for (std::size_t t = 0; t < end; ++t) to[t] = __VA_ARGS__; \
    break
    switch (w.op) {
      EBB_COMPUTED(add, a[t] + b[t]);
      EBB_COMPUTED(sub, a[t] - b[t]);
      EBB_COMPUTED(mul, a[t] * b[t]);
      EBB_COMPUTED(div, a[t] / b[t]);
      EBB_COMPUTED(neg, -a[t]);
      case Op::call:
        call(loop_.calls[w.a], terms);
        break;
      case Op::pair:
        if (w.first == Op::add) pair(w, end, [](V& s, const V& x, const V& y) { s = x + y; });
        else if (w.first == Op::sub) pair(w, end, [](V& s, const V& x, const V& y) { s = x - y; });
        else pair(w, end, [](V& s, const V& x, const V& y) { s = x * y; });
        break;
      default: {
        const auto there = [to](std::size_t t) -> V& { return to[t]; };
        if (w.adds) bring<false>(w, 0, end, there);
        else bring<true>(w, 0, end, there);
      }
    }
#undef EBB_COMPUTED
  }

  template <class First> EBB_INLINED void pair(const Work& w, std::size_t end, First first) const {
    V* const to = at_[w.to];
    const V* const a = at_[w.a];
    const V* const b = at_[w.b];
    const V* const c = at_[w.g];
#define EBB_PAIRED(name, ...)               \
  case Work::Second::name:                  \
    for (std::size_t t = 0; t < end; ++t) { \
      V x;                                  \
      first(x, a[t], b[t]);                 \
      to[t] = __VA_ARGS__;                  \
    }                                       \
    break
    switch (w.second) {
      EBB_PAIRED(add, x + c[t]);
      EBB_PAIRED(sub, x - c[t]);
      EBB_PAIRED(sub_from, c[t] - x);
      EBB_PAIRED(mul, x * c[t]);
      case Work::Second::none:
        break;
    }
#undef EBB_PAIRED
  }

  EBB_INLINED void call(const LaneLoop::Call& call, std::size_t terms) const {
    for (std::size_t t = 0; t < terms; ++t) {
      const auto line = [&](std::uint32_t slot) { return reinterpret_cast<double*>(at_[slot] + t * per_line); };
      const double* x[4];
      double* dx[4];
      for (std::size_t k = 0; k < static_cast<std::size_t>(call.arity); ++k) {
        x[k] = line(call.x[k]);
        dx[k] = line(call.dx[k]);
      }
      call.run(x, line(call.y), dx);
    }
  }

  /// Where no gradient arrived none goes on, be the local derivative infinite.
  EBB_INLINED static void where_some(V& sent, const V& g) {
    if constexpr (bytes > 16) sent = g != 0.0 ? sent : V{};
    else sent = reinterpret_cast<V>(reinterpret_cast<decltype(g != 0.0)>(sent) & (g != 0.0));  // SSE2 cannot choose
  }

  /// to(t), for `count` vectors from `from` on and the last first, becomes what w brings, or gets it besides if not `fresh`.
  template <bool fresh, class To>
  EBB_INLINED void bring(const Work& w, std::size_t from, std::size_t count, To to) const {
    const auto product = [](V& s, const V& g, const V& a, const V&) {
      s = g * a;
      where_some(s, g);
    };
    switch (w.op) {
      case Op::product:
        return bring_each<fresh, 1>(w, from, count, to, product);
      case Op::twice:
        return bring_each<fresh, 2>(w, from, count, to, product);
      case Op::over:
        return bring_each<fresh, 1>(w, from, count, to, [](V& s, const V& g, const V& a, const V&) {
          s = g * (1.0 / a);
          where_some(s, g);
        });
      case Op::under:
        return bring_each<fresh, 1>(w, from, count, to, [](V& s, const V& g, const V& a, const V& b) {
          s = g * -(a / b);
          where_some(s, g);
        });
      default:
        return bring_each<fresh, 1>(w, from, count, to, [](V& s, const V& g, const V&, const V&) { s = g; });
    }
  }

  template <bool fresh, int times, class To, class Sent>
  EBB_INLINED void bring_each(const Work& w, std::size_t from, std::size_t count, To to, Sent sent) const {
    const V* const a = at_[w.a] + from;
    const V* const b = at_[w.b] + from;
    const V* const g = at_[w.g] + from;
#define EBB_EACH(before, sign)                  \
  for (std::size_t t = count; t-- > 0;) {       \
    V s;                                        \
    sent(s, g[t], a[t], b[t]);                  \
    V& there = to(t);                           \
    V sum = before sign s;                      \
    if constexpr (times == 2) sum = sum sign s; \
    there = sum;                                \
  }
    if constexpr (fresh) {
      if (w.minus) EBB_EACH(, -)
      else EBB_EACH(, +)
    } else {
      if (w.minus) EBB_EACH(there, -)
      else EBB_EACH(there, +)
    }
#undef EBB_EACH
  }

  /// Computes the terms from `first` on.
  EBB_INLINED void compute(std::size_t first, std::size_t terms) {
    for (std::size_t k = 0; k < loop_.outside.size(); ++k) {
      const LaneLoop::Outside& from = loop_.outside[k];
      if (from.fixed) continue;
      if (from.running) {
        at_[k] = const_cast<V*>(value_) + (from.place[0] + first) * per_line;  // only read
        continue;
      }
      for (std::size_t t = 0; t < terms; ++t)
        std::copy_n(value_ + from.place[first + t] * per_line, per_line, at_[k] + t * per_line);
    }
    for (const Work& w : loop_.forward) work(w, terms);
  }

  /// Sends to the gradients of operands outside, from the t-th of the terms that begin with `first` on.
  EBB_INLINED void send(std::size_t first, std::size_t t, std::size_t terms) const {
    const std::size_t from = t * per_line, count = terms * per_line;
    for (const LaneLoop::Sent& sent : loop_.sent) {
      const LaneLoop::Outside& outside = loop_.outside[sent.outside];
      const std::uint32_t* const place = outside.place.data() + first + t;
      if (outside.running) {
        V* const to = gradient_ + *place * per_line;
        bring<false>(sent.work, from, count, [to](std::size_t i) -> V& { return to[i]; });
      } else if (outside.fixed && per_line == 1) {
        V sum = gradient_[*place];
        bring<false>(sent.work, from, count, [&sum](std::size_t) -> V& { return sum; });
        gradient_[*place] = sum;
      } else {
        bring<false>(sent.work, from, count, [place, to = gradient_](std::size_t i) -> V& {
          return to[place[i / per_line] * per_line + i % per_line];
        });
      }
    }
  }

  const LaneLoop& loop_;
  const V* value_;
  V* gradient_;
  const V* arrived_;
  std::size_t chunk_;
  V* at_[LaneLoop::most_slots];  // the lines of each slot, for the terms in work
};

template <int bytes> struct OnVectors {
  template <class Go> void operator()(const LaneLoop* loop, const Lines* lines, double* y, Go go) const {
    Run<bytes> run(*loop, *lines);
    go(run, y);
  }
};

/// go(a run, y), on vectors as wide as this machine has.
template <class Go> void on_widest(const LaneLoop& loop, const Lines& lines, double* y, Go go) {
#ifdef EBB_ONE_LOOP
  OnVectors<16>()(&loop, &lines, y, go);
#else
#ifdef EBB_WIDE
  if (isa() == Isa::avx512) return detail::on_avx512(OnVectors<64>(), &loop, &lines, y, go);
  if (isa() == Isa::avx2) return detail::on_avx2(OnVectors<32>(), &loop, &lines, y, go);
#endif
  detail::on_baseline(OnVectors<16>(), &loop, &lines, y, go);
#endif
}

}  // namespace

std::size_t LaneLoop::chunk() const {
  constexpr std::size_t cached = std::size_t{24} << 10, line = 64;
  return std::clamp<std::size_t>(cached / line / slots, 4, 64);
}

void run_forward(const LaneLoop& loop, const double* value, double* y, double* room) {
  alignas(64) constexpr double nothing[8] = {};
  on_widest(loop, {value, nullptr, nothing, room}, y, [](auto& run, double* to) { run.forward(to); });
}

void run_backward(const LaneLoop& loop, const double* value, double* gradient, const double* arrived, double* room) {
  on_widest(loop, {value, gradient, arrived, room}, nullptr, [](auto& run, double*) { run.backward(nullptr); });
}

void run_at_once(const LaneLoop& loop, const double* value, double* gradient, double* y, double* room) {
  alignas(64) constexpr double ones[8] = {1, 1, 1, 1, 1, 1, 1, 1};
  on_widest(loop, {value, gradient, ones, room}, y, [room](auto& run, double* to) { run.at_once(to, room); });
}

}  // namespace ebb::kernels
