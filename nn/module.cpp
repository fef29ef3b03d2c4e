#include "module.h"

#include "../autograd/error.h"

#include <cxxabi.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <unordered_set>

namespace ebb::nn {

namespace {

/// Whether `path` names the same place as `longer`, seen from nearer by.
bool ends_like(const std::string& longer, std::string_view path) {
  return path.empty() || longer == path ||
         (longer.size() > path.size() && longer.ends_with(path) && longer[longer.size() - path.size() - 1] == '.');
}

/// Before the model itself was entered: a place to hang the parameters of a bare std::vector of them.
Contents beginning() {
  Contents c;
  c.parts.push_back({"", "", false});
  return c;
}

}  // namespace

void Label::place(std::string_view path) const {
  if (!ends_like(path_, path)) path_ = path;
}

std::string type_name(const std::type_info& type) {
  int status = 0;
  char* const raw = abi::__cxa_demangle(type.name(), nullptr, nullptr, &status);
  const std::string whole = status == 0 ? raw : type.name();
  std::free(raw);
  if (whole.find("(*)") != std::string::npos) return "function";

  std::size_t begin = 0, end = whole.size();
  int depth = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    const char c = whole[i];
    if (c == '<' && depth == 0) end = i;
    if (c == '<' || c == '(' || c == '{') ++depth;
    if (c == '>' || c == ')' || c == '}') --depth;
    if (depth == 0 && whole.compare(i, 2, "::") == 0) {
      begin = i + 2;
      end = whole.size();
    }
  }
  const std::string last = whole.substr(begin, end - begin);
  // g++ and clang++ write closures as {lambda(...)#1}, 'lambda'(...) or $_0.
  return last.find("lambda") < 2 || last.starts_with("$_") ? "lambda" : last;
}

Visitor::Visitor() : contents_(beginning()) {}

std::string_view Visitor::next_name(std::string_view& names) {
  const std::size_t comma = std::min(names.find(','), names.size());
  std::string_view name = names.substr(0, comma);
  names.remove_prefix(std::min(comma + 1, names.size()));
  const std::size_t begin = std::min(name.find_first_not_of(' '), name.size());
  return name.substr(begin, name.find_last_not_of(' ') + 1 - begin);
}

std::string Visitor::below(std::string_view name) const {
  if (path_.empty()) return std::string(name);
  if (name.empty()) return path_;
  return fmt::format("{}.{}", path_, name);
}

void Visitor::part(std::string_view name, const void* object, std::size_t bytes, const std::type_info& type,
                   Enter enter) {
  if (depth_ == most_deep)
    throw UsageError(
        fmt::format("nn::parameters: parts lie in parts {} deep: the model has itself as a part", most_deep));
  const std::string outer_path = std::exchange(path_, below(name));
  ++depth_;
  const std::size_t outer_part = part_, met_before = met_.size();
  if (path_.empty()) {
    contents_.parts[0].kind = type_name(type);
  } else {
    part_ = contents_.parts.size();
    contents_.parts.push_back({path_, type_name(type), false});
  }
  enter(object, *this);

  std::vector<const Parameter*> met(met_.begin() + static_cast<std::ptrdiff_t>(met_before), met_.end());
  std::sort(met.begin(), met.end());
  for (const Parameter* p : ebb::detail::live_parameters(object, static_cast<const char*>(object) + bytes))
    if (!std::binary_search(met.begin(), met.end(), p))
      throw UsageError(fmt::format(
          "nn::parameters: a {} inside {} is not reached by EBB_FIELDS; add the field that holds it to EBB_FIELDS, or it "
          "will never train",
          p->size() == 0 ? "Sequential or recurrent layer" : fmt::format("Parameter of shape {}", to_string(p->shape())), path_.empty() ? "the model" : fmt::format("{} ({})", path_, type_name(type))));

  path_ = outer_path;
  part_ = outer_part;
  --depth_;
}

void Visitor::parameter(std::string_view name, const Parameter& p) {
  met_.push_back(&p);
  p.shape();  // a Parameter that was moved away says so here
  contents_.parameters.push_back({below(name), &p, part_});
}

void Visitor::buffer(std::string_view name, const Tensor& t) { contents_.buffers.push_back({below(name), &t, part_}); }

void Visitor::label(const Label& of_this_part) {
  labels_.emplace_back(&of_this_part, path_);
  contents_.parts[part_].kind = of_this_part.kind();
  contents_.parts[part_].layer = true;
}

Contents Visitor::finish() {
  std::unordered_set<const void*> seen;
  std::vector<Contents::Trained> once;
  for (Contents::Trained& p : contents_.parameters)
    if (seen.insert(p.parameter->state().get()).second) once.push_back(std::move(p));
  contents_.parameters = std::move(once);

  // Names are given last, so that a visit that fails has changed nothing.
  for (const Contents::Trained& p : contents_.parameters)
    if (std::string& name = p.parameter->state()->name; !ends_like(name, p.name)) name = p.name;
  for (const auto& [label, path] : labels_)
    if (seen.insert(label).second) label->place(path);
  return std::exchange(contents_, beginning());
}

}  // namespace ebb::nn
