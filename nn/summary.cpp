#include "summary.h"

#include <fmt/format.h>

#include <algorithm>

namespace ebb::nn {

namespace {

struct Row {
  std::string path, kind, parameters, count;
};

/// 1204 -> "1,204".
std::string grouped(std::int64_t n) {
  std::string digits = std::to_string(n);
  for (std::ptrdiff_t i = std::ssize(digits) - 3; i > 0; i -= 3) digits.insert(static_cast<std::size_t>(i), ",");
  return digits;
}

std::string bytes(std::int64_t n) {
  if (n < 1024) return fmt::format("{} bytes", n);
  double size = static_cast<double>(n) / 1024;
  for (const char* unit : {"KiB", "MiB"}) {
    if (size < 1024) return fmt::format("{:.1f} {}", size, unit);
    size /= 1024;
  }
  return fmt::format("{:.1f} GiB", size);
}

std::string last_name(const std::string& path) { return path.substr(path.rfind('.') + 1); }

/// Whether the model's structs and containers, which add nothing of their own, may be left out.
bool only_holds_others(const std::vector<Contents::Part>& parts, std::size_t i) {
  return i + 1 < parts.size() && (parts[i].path.empty() || parts[i + 1].path.starts_with(parts[i].path + "."));
}

}  // namespace

std::string summary_of(const Contents& contents) {
  std::vector<Row> rows{{"layer", "kind", "parameters", "count"}};
  std::int64_t total = 0, total_bytes = 0;
  for (std::size_t i = 0; i < contents.parts.size(); ++i) {
    const Contents::Part& part = contents.parts[i];
    Row row{part.path.empty() ? "model" : part.path, part.kind, "", ""};
    std::int64_t count = 0;
    std::vector<std::string> trained, kept;
    const auto line = [](const std::string& name, const Shape& shape) {
      return last_name(name) + " " + to_string(shape);
    };
    for (const Contents::Trained& p : contents.parameters) {
      if (p.part != i) continue;
      trained.push_back(line(p.name, p.parameter->shape()));
      count += p.parameter->size();
      total_bytes += p.parameter->size() * static_cast<std::int64_t>(size_of(p.parameter->dtype()));
    }
    for (const Contents::Kept& b : contents.buffers)
      if (b.part == i && b.tensor->defined()) kept.push_back(line(b.name, b.tensor->shape()));
    row.parameters = fmt::format("{}{}{}{}", fmt::join(trained, ", "), trained.empty() || kept.empty() ? "" : "; ",
                                 kept.empty() ? "" : "not trained: ", fmt::join(kept, ", "));
    if (row.parameters.empty() && only_holds_others(contents.parts, i)) continue;
    row.count = count == 0 ? "" : grouped(count);
    total += count;
    rows.push_back(row);
  }

  std::size_t path = 0, kind = 0, parameters = 0, count = 0;
  for (const Row& row : rows) {
    path = std::max(path, row.path.size());
    kind = std::max(kind, row.kind.size());
    parameters = std::max(parameters, row.parameters.size());
    count = std::max(count, row.count.size());
  }
  std::string table;
  const std::string rule = std::string(path + kind + parameters + count + 6, '-') + "\n";
  for (const Row& row : rows) {
    table += fmt::format("{:{}}  {:{}}  {:{}}  {:>{}}", row.path, path, row.kind, kind, row.parameters, parameters,
                         row.count, count);
    table.erase(table.find_last_not_of(' ') + 1);
    table += '\n';
    if (&row == &rows.front()) table += rule;
  }
  return table + rule + fmt::format("{} parameters, {}\n", grouped(total), bytes(total_bytes));
}

}  // namespace ebb::nn
