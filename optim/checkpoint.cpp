#include "checkpoint.h"

#include "../autograd/error.h"
#include "../autograd/random.h"
#include "../nn/io/text.h"
#include "parts.h"
#include "state.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <optional>
#include <utility>

namespace ebb::optim {

namespace {

constexpr const char* marker = "ebb.checkpoint";
constexpr std::int64_t version = 1;

Part schedule_part(Schedule& schedule) {
  return {"schedule", [&] { return schedule.state(); }, [&](const io::Tensors& state) { schedule.load_state(state); }};
}

/// Does not keep what it is given: for writing, where nothing is loaded.
Part fixed_part(std::string name, io::Tensors tensors) {
  return {std::move(name), [tensors = std::move(tensors)] { return tensors; }, [](const io::Tensors&) {}};
}

/// What the file holds for each part, in their order.
std::vector<io::Tensors> dealt(const std::string& path, const std::vector<Part>& parts) {
  const io::Tensors file = io::read_safetensors(path);
  const auto mark = file.find(marker);
  if (mark == file.end())
    throw UsageError(fmt::format("{} is no checkpoint of training; a model alone is read by nn::load", path));
  if (mark->second.size() != 1 || mark->second.item() != static_cast<double>(version))
    throw UsageError(fmt::format("{} is a checkpoint of another version of Ebb", path));

  std::vector<io::Tensors> groups(parts.size());
  std::vector<std::string> unknown;
  for (const auto& [name, tensor] : file) {
    if (name == marker) continue;
    std::size_t i = 0;
    while (i < parts.size() && !name.starts_with(parts[i].name + ".")) ++i;
    if (i < parts.size()) groups[i].emplace(name.substr(parts[i].name.size() + 1), tensor);
    else unknown.push_back(io::shown(name));
  }
  if (!unknown.empty())
    throw UsageError(
        fmt::format("{} is a checkpoint of other training: there is no place here for {}. Nothing was loaded", path,
                    io::listed(unknown, 3)));
  return groups;
}

}  // namespace

Part weights_part(Weights& weights) {
  return {"model", [&] { return weights.get(); },
          [&](const io::Tensors& state) { weights.set(state, "it", "the file", "Nothing was loaded"); }};
}

Part optimizer_part(Optimizer& optimizer) {
  return {fmt::format("optimizer.{}", optimizer.name()), [&] { return optimizer.state(); },
          [&](const io::Tensors& state) { optimizer.load_state(state); }};
}

Part random_part() {
  const auto state = [] {
    const Generator& g = default_generator();
    const std::array numbers{std::bit_cast<std::int64_t>(g.seed()), std::bit_cast<std::int64_t>(g.position())};
    return io::Tensors{{"generator", from(numbers, {2})}};
  };
  return {"random", state, [](const io::Tensors& given) {
            StateReader reader("the default generator", given);
            const Tensor numbers = reader.take("generator", zeros({2}, i64));
            reader.finish();
            const auto* const seed_and_position = numbers.data<std::int64_t>().data();
            Generator& g = default_generator();
            g = Generator(std::bit_cast<std::uint64_t>(seed_and_position[0]));
            g.position(std::bit_cast<std::uint64_t>(seed_and_position[1]));
          }};
}

void write_parts(const std::string& path, const std::vector<Part>& parts) {
  io::Tensors file{{marker, tensor(version, i64)}};
  for (const Part& part : parts)
    for (const auto& [name, tensor] : part.state()) file.emplace(part.name + "." + name, tensor);
  io::write_safetensors(path, file);
}

void read_parts(const std::string& path, const std::vector<Part>& parts) {
  const std::vector<io::Tensors> groups = dealt(path, parts);
  std::vector<io::Tensors> before;
  for (const Part& part : parts) before.push_back(part.state());
  std::size_t i = 0;
  const auto give_back = [&] {
    while (i-- > 0) parts[i].load_state(before[i]);
  };
  try {
    for (; i < parts.size(); ++i) parts[i].load_state(groups[i]);
  } catch (const Error& error) {
    give_back();
    throw UsageError(fmt::format("{} is a checkpoint of other training: {}", path, error.what()));
  } catch (...) {  // a callback of the user's may throw anything
    give_back();
    throw;
  }
}

void save_checkpoint(const std::string& path, const nn::Contents& model, const Optimizer& optimizer,
                     const CheckpointOptions& options) {
  std::vector<Part> parts{fixed_part("model", Weights(model, optimizer).get()),
                          fixed_part(fmt::format("optimizer.{}", optimizer.name()), optimizer.state()), random_part(),
                          fixed_part("notes", options.notes)};
  if (options.schedule != nullptr) parts.push_back(schedule_part(*options.schedule));
  write_parts(path, parts);
}

io::Tensors load_checkpoint(const std::string& path, const nn::Contents& model, Optimizer& optimizer,
                            const CheckpointOptions& options) {
  Weights weights(model, optimizer);
  io::Tensors notes;
  std::vector<Part> parts{weights_part(weights),
                          optimizer_part(optimizer),
                          random_part(),
                          {"notes", [&] { return notes; }, [&](const io::Tensors& given) { notes = given; }}};
  if (options.schedule != nullptr) parts.push_back(schedule_part(*options.schedule));
  read_parts(path, parts);
  return notes;
}

}  // namespace ebb::optim
