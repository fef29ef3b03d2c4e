#include "lanes.h"

#include "error.h"
#include "kernels/lanes.h"
#include "launch.h"
#include "list.h"
#include "ops.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <numeric>
#include <optional>
#include <unordered_map>
#include <utility>

namespace ebb {

using namespace detail;
using kernels::LaneCall;
using kernels::LaneGuard;
using kernels::LaneProgram;
using kernels::LaneStep;

namespace {

/// What a traced function asked of its values.
struct Trace {
  struct Asked {
    Comparison how;
    Scalar a, b;
    bool answer;
  };
  std::vector<Asked> comparisons;
  bool value_read = false;
};
thread_local Trace* noting = nullptr;

/// While it lives, what is asked is noted.
class Tracing {
 public:
  explicit Tracing(Trace& t) : before_(std::exchange(noting, &t)) { tracing = true; }
  ~Tracing() {
    noting = before_;
    tracing = noting != nullptr;
  }
  Tracing(const Tracing&) = delete;
  Tracing& operator=(const Tracing&) = delete;

 private:
  Trace* before_;  // of the function that, under a Pause, runs another
};

}  // namespace

void detail::note_value_read(Place place) { noting->value_read = noting->value_read || place != 0; }

void detail::note_comparison(Comparison how, const Scalar& a, const Scalar& b, bool answer) {
  if (Access::place(a) != 0 || Access::place(b) != 0) noting->comparisons.push_back({how, a, b, answer});
}

namespace {

/// Makes a program of what a list holds of one row.
class Translation {
 public:
  Translation(const List& list, std::uint32_t inputs) : list_(list), place_(list.size()) {
    program_.inputs = inputs;
    for (std::uint32_t id = 1; id <= inputs; ++id) place_[id] = id - 1;
    for (std::uint32_t id = inputs + 1, steps = 0; id < list.size(); ++id)
      if (list.code[id] != part_code) place_[id] = inputs + steps++;
    first_constant_ = list.size() - 1 - list.parts;
  }

  LaneProgram run(const Scalar& y, const Trace& trace) {
    const std::uint32_t from = ours(y) ? Access::id(y) : 0;
    reached_.resize(list_.size());
    reached_[from] = true;
    for (std::uint32_t id = from; id > 0; --id)
      if (reached_[id] && list_.code[id] != leaf_code) reached_[list_.entry[id].a] = reached_[list_.entry[id].b] = true;
    for (std::uint32_t id = program_.inputs + 1; id < list_.size(); ++id)
      if (list_.code[id] != part_code) add_step(id);
    for (const auto& [how, a, b, answer] : trace.comparisons)
      program_.guards.push_back({static_cast<LaneGuard::How>(how), answer, place_of_value(a), place_of_value(b)});
    program_.result = place_of_value(y);
    program_.find_loops();
    program_.find_first();
    return std::move(program_);
  }

 private:
  bool ours(const Scalar& s) const { return Access::graph(s) == list_.graph(); }
  std::uint32_t place_of_value(const Scalar& s) {
    return ours(s) ? place_[Access::id(s)] : place_of_constant(Access::value(s));
  }
  std::uint32_t place_of_constant(double v) {
    const auto [known, is_new] =
        constants_.try_emplace(std::bit_cast<std::uint64_t>(v), first_constant_ + program_.constants.size());
    if (is_new) program_.constants.push_back(v);
    return static_cast<std::uint32_t>(known->second);
  }

  /// Operands of an op that lie in its entry or in parts of it.
  void find_operands(std::uint32_t id, double partial, LaneCall& call) {
    if (id != 0 && list_.code[id] == part_code) {
      const Entry& part = list_.entry[id];
      find_operands(part.a, part.da, call);
      find_operands(part.b, part.db, call);
      return;
    }
    const auto k = static_cast<std::size_t>(call.arity++);
    call.x[k] = id != 0 ? place_[id] : place_of_constant(partial);
    call.wanted[k] = id != 0;
  }

  void add_step(std::uint32_t id) {
    const Entry& e = list_.entry[id];
    const std::uint16_t code = list_.code[id];
    const ScalarRule& rule = scalar_rule(code);
    LaneCall call{rule.on_lanes, 0, {}, {}, {}, program_.derivatives};
    find_operands(e.a, e.da, call);
    if (rule.arity > 1) find_operands(e.b, e.db, call);
    call.arity = rule.arity;
    const bool reached = reached_[id];
    LaneStep step{plain_op(code), reached && call.wanted[0], reached && call.wanted[1], false, false, call.x[0],
                  call.x[1]};
    if (step.op == LaneStep::Op::call) {
      step = {LaneStep::Op::call, reached, false, false, false, static_cast<std::uint32_t>(program_.calls.size()), 0};
      program_.derivatives += static_cast<std::uint32_t>(call.arity);
      program_.calls.push_back(call);
    }
    program_.steps.push_back(step);
  }

  static LaneStep::Op plain_op(std::uint16_t code) {
    if (code == scalar_code<formula::Add>) return LaneStep::Op::add;
    if (code == scalar_code<formula::Sub>) return LaneStep::Op::sub;
    if (code == scalar_code<formula::Mul>) return LaneStep::Op::mul;
    if (code == scalar_code<formula::Div>) return LaneStep::Op::div;
    if (code == scalar_code<formula::Neg>) return LaneStep::Op::neg;
    return LaneStep::Op::call;
  }

  const List& list_;
  LaneProgram program_;
  std::vector<std::uint32_t> place_;  // of each entry
  std::vector<bool> reached_;         // from the result
  std::unordered_map<std::uint64_t, std::size_t> constants_;
  std::size_t first_constant_ = 0;
};

/// Why what a list holds cannot run on other rows; empty if it can.
std::string why_not(const List& list, const Trace& trace) {
  if (trace.value_read)
    return "the function reads value() of what it computes, and no record holds what it does with that\n"
           "  help: compare the Scalars themselves, or choose with where()";
  if (!list.cuts.empty())
    return "the function cuts values off with detach() or a Pause, and no record holds how they came to be";
  for (std::uint32_t id = 1; id < list.size(); ++id) {
    const std::uint16_t code = list.code[id];
    if (code < first_rule_code && code != leaf_code && code != part_code)
      return "the function computes with tensors\n  help: write it with Scalars alone";
    if (code >= first_rule_code && scalar_rule(code).on_lanes == nullptr)
      return fmt::format("{}() of Scalars hangs on numbers that no record holds", scalar_rule(code).name);
  }
  return "";
}

}  // namespace

struct ScalarReplay::Work {
  Function f;
  int arity;
  bool again;
  std::string why;
  std::vector<LaneProgram> paths;
  List list;
  // Kept from call to call, so that these ask nothing of the system.
  std::vector<Scalar> inputs;
  std::vector<std::int64_t> rows, others;
  struct Free {
    void operator()(double* p) const { std::free(p); }
  };
  std::unique_ptr<double[], Free> room;
  std::size_t room_size = 0;

  static constexpr std::size_t most_paths = 16;

  /// One row by itself; the program of its way, if that can run on others.
  std::optional<LaneProgram> record_row(const double* x, std::size_t n, double& y, double* dx, bool wanted) {
    const Aside aside(list);
    Trace asked;
    inputs.clear();
    for (std::size_t i = 0; i < n; ++i) inputs.push_back(Access::scalar(x[i], list.push(leaf_code, x[i], 0, 0, 0, 0)));
    Scalar result;
    {
      const Tracing tracing_now(asked);
      result = f(inputs);
    }
    y = Access::value(result);
    std::fill_n(dx, n, 0.0);
    if (Access::graph(result) == list.graph()) {
      list.backward(Access::id(result), /*retain=*/false, /*to_parameters=*/false);
      for (std::size_t i = 0; i < n && i < list.root; ++i) dx[i] = list.adjoint[i + 1];
    }
    if (!wanted || !why.empty()) return {};
    why = why_not(list, asked);
    if (!why.empty()) return {};
    return Translation(list, static_cast<std::uint32_t>(n)).run(result, asked);
  }

  /// Runs the rows that are left on a path, and leaves those that go another.
  void run_path(const LaneProgram& path, const double* x, double* y, double* dx) {
    const int width = kernels::lane_width(path, static_cast<std::int64_t>(rows.size()));
    const std::size_t needed = kernels::lane_room(path, width);
    if (needed > room_size) {
      room.reset(static_cast<double*>(std::aligned_alloc(64, (needed * sizeof(double) + 63) / 64 * 64)));
      if (room == nullptr) throw std::bad_alloc();
      room_size = needed;
    }
    others.clear();
    bool holds[64];
    for (std::size_t first = 0; first < rows.size(); first += static_cast<std::size_t>(width)) {
      const auto count = std::min(static_cast<std::size_t>(width), rows.size() - first);
      kernels::run_lanes(path, width, room.get(), x, rows.data() + first, static_cast<int>(count), y, dx, holds);
      for (std::size_t i = 0; i < count; ++i)
        if (!holds[i]) others.push_back(rows[first + i]);
    }
    rows.swap(others);
  }

  void run(const double* x, std::size_t batch, std::size_t n, double* y, double* dx) {
    rows.resize(batch);
    std::iota(rows.begin(), rows.end(), 0);
    if (again || (!paths.empty() && paths[0].inputs != n)) paths.clear();
    for (std::size_t i = 0; i < paths.size() && !rows.empty() && why.empty(); ++i) run_path(paths[i], x, y, dx);
    while (!rows.empty()) {
      const std::int64_t row = rows.back();
      const auto at = static_cast<std::size_t>(row);
      std::optional<LaneProgram> path = record_row(x + at * n, n, y[row], dx + at * n, paths.size() < most_paths);
      rows.pop_back();
      if (!path) continue;
      paths.push_back(std::move(*path));
      run_path(paths.back(), x, y, dx);
    }
  }
};

ScalarReplay::ScalarReplay(Function f, int arity, bool again)
    : work_(new Work{std::move(f), arity, again, {}, {}, {}, {}, {}, {}, {}, 0}) {}
ScalarReplay::~ScalarReplay() = default;
ScalarReplay::ScalarReplay(ScalarReplay&&) noexcept = default;
ScalarReplay& ScalarReplay::operator=(ScalarReplay&&) noexcept = default;

const std::string& ScalarReplay::why() const { return work_->why; }
int ScalarReplay::paths() const { return static_cast<int>(work_->paths.size()); }

namespace {
void must_not_record() {
  if (recording())
    throw UsageError(
        "replay(): a graph records, and what comes out of a replayed function is no part of it\n"
        "  help: call it before the graph opens, or while a Pause lives");
}
}  // namespace

RowGradients ScalarReplay::operator()(const Tensor& x) {
  must_not_record();
  cannot_replay("runs a replay() of Scalars");
  if (x.defined() && x.rank() == 1 && work_->arity == 1) return of_columns({&x, 1});
  if (x.rank() != 2)
    throw ShapeError(fmt::format("replay(): rows of numbers come as [batch, n], not {}", to_string(x.shape())));
  const std::int64_t batch = x.shape()[0], n = x.shape()[1];
  if (work_->arity >= 0 && n != work_->arity)
    throw ShapeError(fmt::format("replay(): the function takes {} number{}, and rows of {} have {}", work_->arity,
                                 work_->arity == 1 ? "" : "s", to_string(x.shape()), n));
  const Tensor rows = detach(x).to(f64);
  RowGradients result{empty({batch}, f64), empty({batch, n}, f64)};
  work_->run(read<double>(rows), static_cast<std::size_t>(batch), static_cast<std::size_t>(n),
             write<double>(result.values), write<double>(result.gradients));
  return result;
}

RowGradients ScalarReplay::of_columns(std::span<const Tensor> columns) {
  must_not_record();
  for (const Tensor& column : columns)
    if (column.rank() != 1 || column.shape() != columns[0].shape())
      throw ShapeError(
          fmt::format("replay(): each of the function's numbers comes as a tensor [batch], not {} beside {}",
                      to_string(column.shape()), to_string(columns[0].shape())));
  std::vector<Tensor> all;
  for (const Tensor& column : columns) all.push_back(column.to(f64));
  return (*this)(stack(all, 1));
}

}  // namespace ebb
