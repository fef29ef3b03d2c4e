// Modules: plain structs with parameters and operator().  What EBB_FIELDS lists gets its name here, once, for files,
// summaries, errors and pictures alike.
#pragma once

#include "../autograd/parameter.h"
#include "../autograd/scope.h"

#include <concepts>
#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

namespace ebb::nn {

/// What a layer is called: its kind, e.g. "Dense(10 -> 64)", from its making, and its path in the model, e.g.
/// "encoder.0", from the first visit on.  A path belongs to the place and not to the layer that stands there: copies
/// begin without one, and assignment keeps it.
class Label {
 public:
  explicit Label(std::string kind) : kind_(std::move(kind)) {}
  Label(const Label& other) : kind_(other.kind_) {}
  Label(Label&&) noexcept = default;
  Label& operator=(const Label& other) { return *this = Label(other.kind_); }
  Label& operator=(Label&& other) noexcept {
    kind_ = std::move(other.kind_);
    return *this;
  }
  ~Label() = default;

  const std::string& kind() const { return kind_; }
  const std::string& path() const { return path_; }
  /// Opens the layer's scope: `const Scope scope = label.scope();` is the first line of its operator().
  Scope scope() const { return Scope(path_, kind_); }
  /// Sets the path, unless it is the end of the one it has: visiting a part of a model does not shorten names.
  void place(std::string_view path) const;

 private:
  std::string kind_;
  mutable std::string path_;
};

/// One parameter of a model under its path, e.g. "encoder.0.weight".
struct NamedParameter {
  std::string name;
  Parameter& parameter;
};
struct NamedConstParameter {
  std::string name;
  const Parameter& parameter;
};
/// One Tensor field of a model: saved in files, not trained.
struct NamedBuffer {
  std::string name;
  Tensor& tensor;
};

/// All that a model holds, in the order of its fields.
struct Contents {
  struct Part {
    std::string path;    ///< "" for the model itself
    std::string kind;    ///< "Dense(10 -> 64)", or the name of the struct
    bool layer = false;  ///< it has a Label
  };
  struct Trained {
    std::string name;
    const Parameter* parameter;
    std::size_t part;  ///< which of parts has it as a field
  };
  struct Kept {
    std::string name;
    const Tensor* tensor;
    std::size_t part;
  };
  std::vector<Part> parts;
  std::vector<Trained> parameters;  ///< one that is met twice (shared weights) stands here once, under its first name
  std::vector<Kept> buffers;
};

/// The name of a struct without its namespaces; "lambda" or "function" for those.
std::string type_name(const std::type_info& type);

class Visitor;

/// A struct that lists its fields with EBB_FIELDS.
template <class T>
concept HasFields = requires(const T& part, Visitor& visitor) {
  part.ebb_visit(visitor);
};

/// A std::reference_wrapper.
template <class T>
concept IsReference = requires(const T& reference) {
  { reference.get() } -> std::same_as<typename T::type&>;
};

/// Goes through a model's fields and notes what it meets.  Throws UsageError for a model that has itself as a part.
class Visitor {
 public:
  /// Parts within parts that a model may have; one that has more is taken to have itself as a part.
  static constexpr std::size_t most_deep = 1000;

  Visitor();
  /// One field: a Parameter, a Label, a Tensor, a struct with fields, or a container or pointer of these.
  template <class F> void field(std::string_view name, const F& held);
  /// Several, their names separated by commas: what EBB_FIELDS calls.
  template <class... F> void fields([[maybe_unused]] std::string_view names, const F&... held) {
    (field(next_name(names), held), ...);
  }
  /// An object of which nothing is known but that it must not hide a Parameter.
  template <class T> void opaque(std::string_view name, const T& object) {
    part(name, &object, sizeof object, typeid(T), [](const void*, Visitor&) {});
  }
  /// Gives a Label the path of the part with that name.
  void place(std::string_view name, const Label& label) { labels_.emplace_back(&label, below(name)); }
  /// A Parameter that is not in use, such as the bias of a layer without one.
  void skip(const Parameter& unused) { met_.push_back(&unused); }
  /// A Parameter that a layer may do without: one that holds no numbers is not in use.
  void field_if_any(std::string_view name, const Parameter& p) { p.size() == 0 ? skip(p) : field(name, p); }

  /// Names everything that was met, and hands the notes out.
  Contents finish();

 private:
  using Enter = void (*)(const void* object, Visitor& visitor);

  static std::string_view next_name(std::string_view& names);
  void part(std::string_view name, const void* object, std::size_t bytes, const std::type_info& type, Enter enter);
  void parameter(std::string_view name, const Parameter& p);
  void buffer(std::string_view name, const Tensor& t);
  void label(const Label& of_this_part);
  std::string below(std::string_view name) const;

  Contents contents_;
  std::vector<const Parameter*> met_;
  std::vector<std::pair<const Label*, std::string>> labels_;
  std::string path_;
  std::size_t part_ = 0, depth_ = 0;
};

template <class F> void Visitor::field(std::string_view name, const F& held) {
  constexpr bool is_pointer = !std::is_pointer_v<F> && !std::is_array_v<F> && requires {
    static_cast<bool>(held);
    *held;
  };
  constexpr bool is_range = requires {
    std::begin(held);
    std::end(held);
  };
  if constexpr (std::derived_from<F, Parameter>) {
    parameter(name, held);
  } else if constexpr (std::derived_from<F, Tensor>) {
    buffer(name, held);
  } else if constexpr (std::same_as<F, Label>) {
    label(held);
  } else if constexpr (HasFields<F>) {
    part(name, &held, sizeof held, typeid(F),
         [](const void* object, Visitor& visitor) { static_cast<const F*>(object)->ebb_visit(visitor); });
  } else if constexpr (is_pointer) {
    if (held) field(name, std::as_const(*held));
  } else if constexpr (IsReference<F>) {
    field(name, std::as_const(held.get()));
  } else if constexpr (is_range) {
    std::size_t i = 0;
    const std::string outer = name.empty() ? "" : std::string(name) + ".";
    for (const auto& each : held) field(outer + std::to_string(i++), each);
  } else {
    static_assert(HasFields<F>,
                  "a field of EBB_FIELDS (or a model) must be a Parameter, a layer, a struct with EBB_FIELDS, a Tensor "
                  "(saved, not trained), or a std::vector, std::array, std::optional or std::unique_ptr of these");
  }
}

/// Names a model's parts and lists them.  Throws UsageError if a Parameter lies in it that EBB_FIELDS does not reach.
template <class Model> Contents contents(const Model& model) {
  Visitor visitor;
  visitor.field("", model);
  return visitor.finish();
}

/// A model's parameters under their paths: for (auto& [name, parameter] : nn::parameters(model)) ...
/// They are references into the model.  Throws UsageError if a Parameter lies in it that EBB_FIELDS does not reach.
template <class Model> std::vector<NamedParameter> parameters(Model& model) {
  std::vector<NamedParameter> found;
  // The model is not const, so neither is what was met in it.
  for (Contents::Trained& p : contents(model).parameters)
    found.push_back({std::move(p.name), const_cast<Parameter&>(*p.parameter)});
  return found;
}
template <class Model> std::vector<NamedConstParameter> parameters(const Model& model) {
  std::vector<NamedConstParameter> found;
  for (Contents::Trained& p : contents(model).parameters) found.push_back({std::move(p.name), *p.parameter});
  return found;
}

/// A model's Tensor fields under their paths.
template <class Model> std::vector<NamedBuffer> buffers(Model& model) {
  static_assert(!std::is_const_v<Model>,
                "nn::buffers gives tensors that can be changed, so its model must not be const");
  std::vector<NamedBuffer> found;
  for (Contents::Kept& b : contents(model).buffers)
    found.push_back({std::move(b.name), const_cast<Tensor&>(*b.tensor)});
  return found;
}

}  // namespace ebb::nn

/// In a struct: makes it a model, whose named fields are its parts.
/// Fields may be Parameters, layers, other structs with EBB_FIELDS, Tensors (saved in files, not trained), and
/// std::vector, std::array, std::optional and std::unique_ptr of these.
#define EBB_FIELDS(...)                                                    \
  void ebb_visit([[maybe_unused]] ::ebb::nn::Visitor& ebb_visitor) const { \
    ebb_visitor.fields(#__VA_ARGS__ __VA_OPT__(, ) __VA_ARGS__);           \
  }
