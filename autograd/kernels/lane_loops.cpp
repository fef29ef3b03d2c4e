#include "lane_loops.h"

#include "simd.h"

#include <algorithm>

namespace ebb::kernels {

namespace {

/// The numbers of all rows.
using Line [[gnu::vector_size(64), gnu::may_alias]] = double;

#define EBB_INLINED [[gnu::always_inline]] inline

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

/// to(t) is, or gets besides if not `fresh`, what `sent` makes of the gradients that arrived; the last term first.
template <bool fresh, int times, class To, class Sent>
EBB_INLINED void bring(const LaneLoop::Work& w, Line* const* at, std::size_t terms, To to, Sent sent) {
  const Line* const a = at[w.a];
  const Line* const b = at[w.b];
  const Line* const g = at[w.g];
#define EBB_EACH_TERM(before, sign)               \
  for (std::size_t t = terms; t-- > 0;) {         \
    Line s;                                       \
    sent(s, g[t], a[t], b[t]);                    \
    Line& here = to(t);                           \
    here = before sign s;                         \
    if constexpr (times == 2) here = here sign s; \
  }
  if constexpr (fresh) {
    if (w.minus) EBB_EACH_TERM(, -)
    else EBB_EACH_TERM(, +)
  } else {
    if (w.minus) EBB_EACH_TERM(here, -)
    else EBB_EACH_TERM(here, +)
  }
#undef EBB_EACH_TERM
}

/// What w brings to(t).  Where no gradient arrived none goes on, be the local derivative infinite.
template <bool fresh, class To>
EBB_INLINED void backward(const LaneLoop::Work& w, Line* const* at, std::size_t terms, To to) {
  using Op = LaneLoop::Work::Op;
  const auto product = [](Line& s, const Line& g, const Line& a, const Line&) { s = g != 0.0 ? g * a : Line{}; };
  switch (w.op) {
    case Op::product:
      return bring<fresh, 1>(w, at, terms, to, product);
    case Op::twice:
      return bring<fresh, 2>(w, at, terms, to, product);
    case Op::over:
      return bring<fresh, 1>(w, at, terms, to, [](Line& s, const Line& g, const Line& a, const Line&) {
        s = g != 0.0 ? g * (1.0 / a) : Line{};
      });
    case Op::under:
      return bring<fresh, 1>(w, at, terms, to, [](Line& s, const Line& g, const Line& a, const Line& b) {
        s = g != 0.0 ? g * -(a / b) : Line{};
      });
    default:
      return bring<fresh, 1>(w, at, terms, to, [](Line& s, const Line& g, const Line&, const Line&) { s = g; });
  }
}

/// A piece of work for the first `terms` terms in the slots.
EBB_INLINED void work(const LaneLoop& loop, const LaneLoop::Work& w, Line* const* at, std::size_t terms) {
  using Op = LaneLoop::Work::Op;
  Line* const to = at[w.to];
  const Line* const a = at[w.a];
  const Line* const b = at[w.b];
#define EBB_COMPUTED(name, ...)                                  \
  case Op::name:                                                 \
    for (std::size_t t = 0; t < terms; ++t) to[t] = __VA_ARGS__; \
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
    default: {
      const auto there = [&](std::size_t t) -> Line& { return to[t]; };
      if (w.adds) backward<false>(w, at, terms, there);
      else backward<true>(w, at, terms, there);
    }
  }
#undef EBB_COMPUTED
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

/// Sends to the gradients of operands outside, the last term first.
EBB_INLINED void send(const LaneLoop& loop, const Lines& lines, Line* const* at, std::size_t first, std::size_t terms) {
  for (const LaneLoop::Sent& sent : loop.sent) {
    const std::uint32_t* const place = loop.outside[sent.outside].place.data() + first;
    backward<false>(sent.work, at, terms, [&](std::size_t t) -> Line& { return lines.gradient[place[t]]; });
  }
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
        send(loop, lines, slots.at, first, terms);
      } else {
        Line* one[LaneLoop::most_slots];
        for (std::size_t t = terms; t-- > 0;) {
          for (std::size_t k = 0; k < loop.slots; ++k) one[k] = slots.at[k] + t;
          send(loop, lines, one, first + t, 1);
        }
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
