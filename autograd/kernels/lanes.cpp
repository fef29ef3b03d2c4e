#include "lanes.h"

#ifndef __clang__
#pragma GCC optimize("no-trapping-math")  // else it computes behind a branch what a mask could drop
#endif

#include "simd.h"

#include <algorithm>
#include <cstring>

namespace ebb::kernels {

namespace {

constexpr int narrow = 8, wide = 32;  // rows

/// Where a block's lines lie.
struct Lines {
  double* value;
  double* gradient;
  double* derivative;
  const double* zeros;
  double* loops;  // the room of loops
};

// No line that a step writes overlaps one that it reads, but for the same number in the same row.
#ifdef __clang__
#define EBB_EACH_ROW _Pragma("clang loop vectorize(assume_safety)") for (int i = 0; i < width; ++i)
#define EBB_AVX512 "avx512f,avx512dq,avx512vl"
#else
#define EBB_EACH_ROW _Pragma("GCC ivdep") _Pragma("GCC unroll 1") for (int i = 0; i < width; ++i)
#define EBB_AVX512 "avx512f,avx512dq,avx512vl,prefer-vector-width=512"
#endif
#define EBB_INLINED [[gnu::always_inline]] inline

template <int width> EBB_INLINED void forward(const LaneProgram& program, Lines lines) {
  double* const value = lines.value;
  double* y = value + std::size_t{program.inputs} * width;
  for (const LaneStep& step : program.steps) {
    const double* const a = value + std::size_t{step.a} * width;
    const double* const b = value + std::size_t{step.b} * width;
    switch (step.op) {
      case LaneStep::Op::add:
        EBB_EACH_ROW y[i] = a[i] + b[i];
        break;
      case LaneStep::Op::sub:
        EBB_EACH_ROW y[i] = a[i] - b[i];
        break;
      case LaneStep::Op::mul:
        EBB_EACH_ROW y[i] = a[i] * b[i];
        break;
      case LaneStep::Op::div:
        EBB_EACH_ROW y[i] = a[i] / b[i];
        break;
      case LaneStep::Op::neg:
        EBB_EACH_ROW y[i] = -a[i];
        break;
      case LaneStep::Op::call: {
        const LaneCall& call = program.calls[step.a];
        for (int first = 0; first < width; first += narrow) {
          const double* x[4];
          double* dx[4];
          for (int k = 0; k < call.arity; ++k) {
            x[k] = value + std::size_t{call.x[static_cast<std::size_t>(k)]} * width + first;
            dx[k] = lines.derivative + (std::size_t{call.derivatives} + static_cast<std::size_t>(k)) * width + first;
          }
          call.run(x, y + first, dx);
        }
        break;
      }
      case LaneStep::Op::loop: {
        const LaneLoop& loop = program.loops[step.a];
        if (loop.is_result) run_at_once(loop, value, lines.gradient, y, lines.loops);
        else run_forward(loop, value, y, lines.loops);
      }
    }
    y += width;
  }
}

/// What a step sends where g arrived.  Where nothing did nothing goes on, be the local derivative infinite.
EBB_INLINED double unless_none(double g, double sent) { return g != 0 ? sent : 0; }

// Steps go backward in the order in which a graph's backward meets them, so that sums come out the same.
template <int width> EBB_INLINED void backward(const LaneProgram& program, Lines lines) {
  const double* const value = lines.value;
  double* const gradient = lines.gradient;
  for (std::size_t s = program.steps.size(); s-- > 0;) {
    const LaneStep& step = program.steps[s];
    const std::size_t place = (program.inputs + s) * width, at_a = std::size_t{step.a} * width,
                      at_b = std::size_t{step.b} * width;
    const double* const g = gradient + place;
    const double* const y = value + place;
    const double* const a = value + at_a;
    const double* const b = value + at_b;
    double* const da = gradient + at_a;
    double* const db = gradient + at_b;
    const double* const a_before = step.first_a ? lines.zeros : da;
    const double* const b_before = step.first_b ? lines.zeros : db;
    const auto wanted = [](LaneStep::Op op, bool to_a, bool to_b) constexpr {
      return static_cast<int>(op) * 4 + (to_a ? 1 : 0) + (to_b ? 2 : 0);
    };
#define EBB_BACKWARD(name, by_a, by_b)          \
  case wanted(LaneStep::Op::name, true, false): \
    EBB_EACH_ROW da[i] = a_before[i] + by_a;    \
    break;                                      \
  case wanted(LaneStep::Op::name, false, true): \
    EBB_EACH_ROW db[i] = b_before[i] + by_b;    \
    break;                                      \
  case wanted(LaneStep::Op::name, true, true):  \
    EBB_EACH_ROW da[i] = a_before[i] + by_a;    \
    EBB_EACH_ROW db[i] = b_before[i] + by_b;    \
    break
    switch (wanted(step.op, step.to_a, step.to_b)) {
      EBB_BACKWARD(add, g[i], g[i]);
      EBB_BACKWARD(sub, g[i], -g[i]);
      EBB_BACKWARD(mul, unless_none(g[i], g[i] * b[i]), unless_none(g[i], g[i] * a[i]));
      EBB_BACKWARD(div, unless_none(g[i], g[i] * (1 / b[i])), unless_none(g[i], g[i] * -(y[i] / b[i])));
      case wanted(LaneStep::Op::neg, true, false):
        EBB_EACH_ROW da[i] = a_before[i] - g[i];
        break;
      case wanted(LaneStep::Op::call, true, false): {
        const LaneCall& call = program.calls[step.a];
        for (const int k : call.order()) {
          if (k >= call.arity || !call.wanted[static_cast<std::size_t>(k)]) continue;
          const double* const local =
              lines.derivative + (std::size_t{call.derivatives} + static_cast<std::size_t>(k)) * width;
          double* const dx = gradient + std::size_t{call.x[static_cast<std::size_t>(k)]} * width;
          const double* const before = call.first[static_cast<std::size_t>(k)] ? lines.zeros : dx;
          EBB_EACH_ROW dx[i] = before[i] + unless_none(g[i], g[i] * local[i]);
        }
        break;
      }
      case wanted(LaneStep::Op::loop, true, false):
        if (const LaneLoop& loop = program.loops[step.a]; !loop.is_result)
          run_backward(loop, value, gradient, g, lines.loops);
        break;
      default:
        break;
    }
#undef EBB_BACKWARD
  }
}

template <int width> EBB_INLINED bool guard(const LaneProgram& program, const double* value, bool* holds) {
  int kept = width;
  for (const LaneGuard& guard : program.guards) {
    const double* const a = value + std::size_t{guard.a} * width;
    const double* const b = value + std::size_t{guard.b} * width;
    for (int i = 0; i < width; ++i) {
      const bool less = a[i]<b[i], equal = a[i] == b[i], greater = a[i]> b[i];
      bool answer = false;
      switch (guard.how) {
        case LaneGuard::How::less:
          answer = less;
          break;
        case LaneGuard::How::less_equal:
          answer = less || equal;
          break;
        case LaneGuard::How::greater:
          answer = greater;
          break;
        case LaneGuard::How::greater_equal:
          answer = greater || equal;
          break;
        case LaneGuard::How::equal:
          answer = equal;
          break;
        case LaneGuard::How::not_equal:
          answer = !equal;
      }
      if (answer == guard.answer || !holds[i]) continue;
      holds[i] = false;
      --kept;
    }
  }
  return kept > 0;
}

using Two [[gnu::vector_size(16)]] = double;
using Four [[gnu::vector_size(32)]] = double;

/// A vector that lies anywhere.
template <class V> EBB_INLINED void load(V& to, const double* from) { std::memcpy(&to, from, sizeof(V)); }
template <class V> EBB_INLINED void store(double* to, const V& from) { std::memcpy(to, &from, sizeof(V)); }

/// Squares of numbers are turned about, so that rows come to lie as columns: between rows, from their k-th numbers on, and
/// lines of `width`.
template <int width, int square> struct Square;
template <int width> struct Square<width, 2> {
  EBB_INLINED static void turn(const double* a, const double* b, double* to_a, double* to_b) {
    Two x, y;
    load(x, a);
    load(y, b);
    store(to_a, __builtin_shufflevector(x, y, 0, 2));
    store(to_b, __builtin_shufflevector(x, y, 1, 3));
  }
  EBB_INLINED static void in(const double* const* row, std::size_t k, double* line) {
    turn(row[0] + k, row[1] + k, line, line + width);
  }
  EBB_INLINED static void out(const double* line, std::size_t k, double* const* row) {
    turn(line, line + width, row[0] + k, row[1] + k);
  }
};
template <int width> struct Square<width, 4> {
  EBB_INLINED static void turn(const double* a, const double* b, const double* c, const double* d, double* to_a,
                               double* to_b, double* to_c, double* to_d) {
    Four x, y, z, w;
    load(x, a);
    load(y, b);
    load(z, c);
    load(w, d);
    const Four even_xy = __builtin_shufflevector(x, y, 0, 4, 2, 6), odd_xy = __builtin_shufflevector(x, y, 1, 5, 3, 7);
    const Four even_zw = __builtin_shufflevector(z, w, 0, 4, 2, 6), odd_zw = __builtin_shufflevector(z, w, 1, 5, 3, 7);
    store(to_a, __builtin_shufflevector(even_xy, even_zw, 0, 1, 4, 5));
    store(to_b, __builtin_shufflevector(odd_xy, odd_zw, 0, 1, 4, 5));
    store(to_c, __builtin_shufflevector(even_xy, even_zw, 2, 3, 6, 7));
    store(to_d, __builtin_shufflevector(odd_xy, odd_zw, 2, 3, 6, 7));
  }
  EBB_INLINED static void in(const double* const* row, std::size_t k, double* line) {
    turn(row[0] + k, row[1] + k, row[2] + k, row[3] + k, line, line + width, line + 2 * width, line + 3 * width);
  }
  EBB_INLINED static void out(const double* line, std::size_t k, double* const* row) {
    turn(line, line + width, line + 2 * width, line + 3 * width, row[0] + k, row[1] + k, row[2] + k, row[3] + k);
  }
};

/// lines [n, width] = the rows, side by side.
template <int width, int square> EBB_INLINED void lay_in(const double* const* row, std::size_t n, double* lines) {
  std::size_t k = 0;
  for (; k + square <= n; k += square)
    for (int i = 0; i < width; i += square) Square<width, square>::in(row + i, k, lines + k * width + i);
  for (; k < n; ++k)
    for (int i = 0; i < width; ++i) lines[k * width + static_cast<std::size_t>(i)] = row[i][k];
}

/// As many rows out of lines as a square has.
template <int width, int square> EBB_INLINED void lay_out(const double* lines, std::size_t n, double* const* row) {
  std::size_t k = 0;
  for (; k + square <= n; k += square) Square<width, square>::out(lines + k * width, k, row);
  for (; k < n; ++k)
    for (int i = 0; i < square; ++i) row[i][k] = lines[k * width + static_cast<std::size_t>(i)];
}

template <int width, int square> EBB_INLINED void block(const LaneProgram& program, double* room, const double* x,
                                                        const std::int64_t* row, int count, double* y, double* dx,
                                                        bool* holds) {
  const std::size_t places = program.places(), inputs = program.inputs, first_constant = inputs + program.steps.size();
  const Lines lines{room, room + places * width, room + (2 * places + 1) * width, room + 2 * places * width,
                    room + (2 * places + 1 + program.derivatives) * width};
  const double* from[width];
  for (int i = 0; i < width; ++i) from[i] = x + static_cast<std::size_t>(row[std::min(i, count - 1)]) * inputs;
  lay_in<width, square>(from, inputs, lines.value);
  for (std::size_t k = 0; k < program.constants.size(); ++k)
    std::fill_n(lines.value + (first_constant + k) * width, width, program.constants[k]);
  std::memset(lines.gradient, 0, inputs * width * sizeof(double));
  std::fill_n(room + 2 * places * width, width, 0.0);
  forward<width>(program, lines);
  bool kept[width];
  std::fill_n(kept, width, true);
  const bool any = guard<width>(program, lines.value, kept);
  std::copy_n(kept, count, holds);
  if (!any) return;
  if (program.result < first_constant) {
    std::fill_n(lines.gradient + std::size_t{program.result} * width, width, 1.0);
    backward<width>(program, lines);
  }
  for (int i = 0; i < count; ++i)
    if (kept[i]) y[row[i]] = lines.value[std::size_t{program.result} * width + static_cast<std::size_t>(i)];
  for (int i = 0; i < count; i += square) {
    const double* const at = lines.gradient + i;
    double* to[square];
    int rows = 0;
    for (; rows < square && i + rows < count && kept[i + rows]; ++rows)
      to[rows] = dx + static_cast<std::size_t>(row[i + rows]) * inputs;
    if (rows == square) {
      lay_out<width, square>(at, inputs, to);
      continue;
    }
    for (int j = 0; j < square && i + j < count; ++j) {
      if (!kept[i + j]) continue;
      double* const one = dx + static_cast<std::size_t>(row[i + j]) * inputs;
      for (std::size_t k = 0; k < inputs; ++k) one[k] = at[k * width + static_cast<std::size_t>(j)];
    }
  }
}

// The same for each set of instructions, and one chosen for this machine.
#define EBB_LEVEL(name, square, attributes)                                                                         \
  attributes void name##_narrow(const LaneProgram& program, double* room, const double* x, const std::int64_t* row, \
                                int count, double* y, double* dx, bool* holds) {                                    \
    block<narrow, square>(program, room, x, row, count, y, dx, holds);                                              \
  }                                                                                                                 \
  attributes void name##_wide(const LaneProgram& program, double* room, const double* x, const std::int64_t* row,   \
                              int count, double* y, double* dx, bool* holds) {                                      \
    block<wide, square>(program, room, x, row, count, y, dx, holds);                                                \
  }
EBB_LEVEL(baseline, 2, )
#ifdef EBB_WIDE
EBB_LEVEL(avx2, 4, [[gnu::target("avx2")]])
EBB_LEVEL(avx512, 4, [[gnu::target(EBB_AVX512)]])
#endif
#undef EBB_LEVEL

using Block = decltype(&baseline_narrow);
struct Level {
  Block narrow, wide;
};
Level level_in_use() {
#ifdef EBB_WIDE
  if (isa() == Isa::avx512) return {&avx512_narrow, &avx512_wide};
  if (isa() == Isa::avx2) return {&avx2_narrow, &avx2_wide};
#endif
  return {&baseline_narrow, &baseline_wide};
}

}  // namespace

void LaneProgram::find_first() {
  std::vector<bool> come(places());
  std::fill_n(come.begin(), inputs, true);
  come[result] = true;
  const auto first = [&](std::uint32_t place, bool wanted) {
    const bool is_first = wanted && !come[place];
    if (wanted) come[place] = true;
    return is_first;
  };
  for (std::size_t s = steps.size(); s-- > 0;) {
    LaneStep& step = steps[s];
    if (step.op == LaneStep::Op::loop) {
      LaneLoop& loop = loops[step.a];
      const auto clear = [&](std::uint32_t place) {
        if (first(place, true)) loop.clear.push_back(place);
      };
      for (const LaneLoop::Sent& sent : loop.sent)
        for (const std::uint32_t place : loop.outside[sent.outside].place) clear(place);
      if (loop.to_start) clear(loop.start);
    } else if (step.op != LaneStep::Op::call) {
      step.first_a = first(step.a, step.to_a);
      step.first_b = first(step.b, step.to_b);
    } else if (LaneCall& call = calls[step.a]; step.to_a) {
      for (const int k : call.order())
        if (k < call.arity)
          call.first[static_cast<std::size_t>(k)] =
              first(call.x[static_cast<std::size_t>(k)], call.wanted[static_cast<std::size_t>(k)]);
    }
  }
}

int lane_width(const LaneProgram& program, std::int64_t rows) {
  constexpr std::size_t cached = std::size_t{512} << 10;
  if (!program.loops.empty()) return narrow;  // an order does much anyway
  return rows >= wide && lane_room(program, wide) * sizeof(double) <= cached ? wide : narrow;
}

std::size_t lane_room(const LaneProgram& program, int width) {
  std::size_t loops = 0;
  for (const LaneLoop& loop : program.loops) loops = std::max(loops, loop.room());
  return (2 * program.places() + 1 + program.derivatives + loops) * static_cast<std::size_t>(width);
}

void run_lanes(const LaneProgram& program, int width, double* room, const double* x, const std::int64_t* row, int count,
               double* y, double* dx, bool* holds) {
  const Level level = level_in_use();
  (width == wide ? level.wide : level.narrow)(program, room, x, row, count, y, dx, holds);
}

}  // namespace ebb::kernels
