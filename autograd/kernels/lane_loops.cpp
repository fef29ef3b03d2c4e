#include "lane_loops.h"

#include "simd.h"

#include <algorithm>

namespace ebb::kernels {

namespace {

/// The numbers of all rows.
using Line [[gnu::vector_size(64), gnu::may_alias]] = double;

#define EBB_INLINED [[gnu::always_inline]] inline

/// What is sent where g arrived.  Where nothing did nothing goes on, be the local derivative infinite.
#define EBB_UNLESS_NONE(sent) (g[t] != 0.0 ? (sent) : Line{})

struct Lines {
  const Line* value;
  Line* gradient;
  const Line* arrived;
  Line* room;
};

/// The lines of each slot for the terms in work.
struct Slots {
  Line* at[LaneLoop::most_slots];
  std::size_t chunk;
};

/// A piece of work for the first `terms` terms in the slots.
EBB_INLINED void work(const LaneLoop& loop, const LaneLoop::Work& w, Line* const* at, std::size_t terms) {
  using Op = LaneLoop::Work::Op;
  Line* const to = at[w.to];
  const Line* const a = at[w.a];
  const Line* const b = at[w.b];
  const Line* const g = at[w.g];
#define EBB_EACH_TERM(...) \
  for (std::size_t t = 0; t < terms; ++t) to[t] = __VA_ARGS__
#define EBB_COMPUTED(name, ...) \
  case Op::name:                \
    EBB_EACH_TERM(__VA_ARGS__); \
    break
#define EBB_BROUGHT(name, ...)                        \
  case Op::name:                                      \
    if (w.adds) EBB_EACH_TERM(to[t] + (__VA_ARGS__)); \
    else EBB_EACH_TERM(__VA_ARGS__);                  \
    break
  switch (w.op) {
    EBB_COMPUTED(add, a[t] + b[t]);
    EBB_COMPUTED(sub, a[t] - b[t]);
    EBB_COMPUTED(mul, a[t] * b[t]);
    EBB_COMPUTED(div, a[t] / b[t]);
    EBB_COMPUTED(neg, -a[t]);
    case Op::call: {
      const LaneLoop::Call& call = loop.calls[w.a];
      for (std::size_t t = 0; t < terms; ++t) {
        const double* x[4];
        double* dx[4];
        for (std::size_t k = 0; k < static_cast<std::size_t>(call.arity); ++k) {
          x[k] = reinterpret_cast<const double*>(at[call.x[k]] + t);
          dx[k] = reinterpret_cast<double*>(at[call.dx[k]] + t);
        }
        call.run(x, reinterpret_cast<double*>(to + t), dx);
      }
      break;
    }
    EBB_BROUGHT(pass, g[t]);
    EBB_BROUGHT(negative, -g[t]);
    EBB_BROUGHT(product, EBB_UNLESS_NONE(g[t] * a[t]));
    EBB_BROUGHT(over, EBB_UNLESS_NONE(g[t] * (1.0 / a[t])));
    EBB_BROUGHT(under, EBB_UNLESS_NONE(g[t] * -(a[t] / b[t])));
    case Op::twice:
      for (std::size_t t = 0; t < terms; ++t) {
        const Line sent = EBB_UNLESS_NONE(g[t] * a[t]);
        to[t] = (w.adds ? to[t] + sent : sent) + sent;
      }
  }
#undef EBB_BROUGHT
#undef EBB_COMPUTED
#undef EBB_EACH_TERM
}

/// Sets up what is the same for all terms.
EBB_INLINED void enter(const LaneLoop& loop, const Lines& lines, Slots& slots) {
  slots.chunk = loop.chunk();
  for (std::size_t k = 0; k < loop.slots; ++k) slots.at[k] = lines.room + k * slots.chunk;
  const std::size_t terms = std::min<std::size_t>(slots.chunk, loop.terms);
  std::fill_n(slots.at[loop.arrived], terms, *lines.arrived);
  for (std::size_t k = 0; k < loop.outside.size(); ++k)
    if (loop.outside[k].fixed) std::fill_n(slots.at[k], terms, lines.value[loop.outside[k].place[0]]);
  for (const LaneLoop::Work& w : loop.once) work(loop, w, slots.at, terms);
}

/// Computes the terms from `first` on.
EBB_INLINED void compute(const LaneLoop& loop, const Lines& lines, Slots& slots, std::size_t first, std::size_t terms) {
  for (std::size_t k = 0; k < loop.outside.size(); ++k) {
    const LaneLoop::Outside& from = loop.outside[k];
    if (from.fixed) continue;
    if (from.running) {
      slots.at[k] = const_cast<Line*>(lines.value) + from.place[0] + first;  // only read
      continue;
    }
    for (std::size_t t = 0; t < terms; ++t) slots.at[k][t] = lines.value[from.place[first + t]];
  }
  for (const LaneLoop::Work& w : loop.forward) work(loop, w, slots.at, terms);
}

/// Brings `terms` terms of what goes out, the last first.
EBB_INLINED void send(const LaneLoop& loop, const LaneLoop::Sent& sent, Line* gradient, const Line* slot,
                      std::size_t first, std::size_t terms) {
  const std::uint32_t* const place = loop.outside[sent.outside].place.data() + first;
#define EBB_EACH_SENT(...)                \
  for (std::size_t t = terms; t-- > 0;) { \
    Line& to = gradient[place[t]];        \
    to = __VA_ARGS__;                     \
  }
  if (sent.twice) {
    EBB_EACH_SENT(to + slot[t] + slot[t])
  } else if (sent.minus) {
    EBB_EACH_SENT(to - slot[t])
  } else {
    EBB_EACH_SENT(to + slot[t])
  }
#undef EBB_EACH_SENT
}

/// The sum's value.
struct Forward {
  EBB_INLINED void operator()(const LaneLoop& loop, const Lines& lines, Line& y) const {
    Slots slots;
    enter(loop, lines, slots);
    Line sum = lines.value[loop.start];
    for (std::size_t first = 0; first < loop.terms; first += slots.chunk) {
      const std::size_t terms = std::min<std::size_t>(slots.chunk, loop.terms - first);
      compute(loop, lines, slots, first, terms);
      for (std::size_t t = 0; t < terms; ++t) sum = sum + slots.at[loop.term][t];
    }
    y = sum;
  }
};

/// Computes the terms again, the last first, and sends their gradients; `kept` gets the terms, if it is there.
struct Backward {
  EBB_INLINED void operator()(const LaneLoop& loop, const Lines& lines, Line* kept) const {
    Slots slots;
    enter(loop, lines, slots);
    for (const std::uint32_t place : loop.clear) lines.gradient[place] = Line{};
    for (std::size_t first = (loop.terms - 1) / slots.chunk * slots.chunk;; first -= slots.chunk) {
      const std::size_t terms = std::min<std::size_t>(slots.chunk, loop.terms - first);
      if (kept != nullptr) slots.at[loop.term] = kept + first;
      compute(loop, lines, slots, first, terms);
      for (const LaneLoop::Work& w : loop.backward) work(loop, w, slots.at, terms);
      if (!loop.by_term) {
        for (const LaneLoop::Sent& sent : loop.sent)
          send(loop, sent, lines.gradient, slots.at[sent.slot], first, terms);
      } else {
        for (std::size_t t = terms; t-- > 0;)
          for (const LaneLoop::Sent& sent : loop.sent)
            send(loop, sent, lines.gradient, slots.at[sent.slot] + t, first + t, 1);
      }
      if (first == 0) break;
    }
    if (loop.to_start) lines.gradient[loop.start] = lines.gradient[loop.start] + *lines.arrived;
  }
};

struct AtOnce {
  EBB_INLINED void operator()(const LaneLoop& loop, const Lines& lines, Line& y) const {
    Line* const kept = lines.room + loop.slots * loop.chunk();
    Backward{}(loop, lines, kept);
    Line sum = lines.value[loop.start];
    for (std::size_t t = 0; t < loop.terms; ++t) sum = sum + kept[t];
    y = sum;
  }
};

const Line* lines_at(const double* x) { return reinterpret_cast<const Line*>(x); }
Line* lines_at(double* x) { return reinterpret_cast<Line*>(x); }

}  // namespace

std::size_t LaneLoop::chunk() const {
  constexpr std::size_t cached = std::size_t{24} << 10;
  return std::clamp<std::size_t>(cached / sizeof(Line) / slots, 4, 64);
}

void run_forward(const LaneLoop& loop, const double* value, double* y, double* room) {
  const Line nothing{};
  const Lines lines{lines_at(value), nullptr, &nothing, lines_at(room)};
  on_vectors([](const LaneLoop* l, const Lines* at, Line* to) { Forward{}(*l, *at, *to); }, &loop, &lines, lines_at(y));
}

void run_backward(const LaneLoop& loop, const double* value, double* gradient, const double* arrived, double* room) {
  const Lines lines{lines_at(value), lines_at(gradient), lines_at(arrived), lines_at(room)};
  on_vectors([](const LaneLoop* l, const Lines* at) { Backward{}(*l, *at, nullptr); }, &loop, &lines);
}

void run_at_once(const LaneLoop& loop, const double* value, double* gradient, double* y, double* room) {
  const Line ones = Line{} + 1.0;
  const Lines lines{lines_at(value), lines_at(gradient), &ones, lines_at(room)};
  on_vectors([](const LaneLoop* l, const Lines* at, Line* to) { AtOnce{}(*l, *at, *to); }, &loop, &lines, lines_at(y));
}

}  // namespace ebb::kernels
