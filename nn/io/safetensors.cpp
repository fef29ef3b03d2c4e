// The format: 8 bytes, little-endian, the length of a header; the header, JSON of
// {"name": {"dtype": "F32", "shape": [64, 10], "data_offsets": [begin, end]}, ...}; the numbers, little-endian and in
// row-major order, without holes.
#include "safetensors.h"

#include "../../autograd/error.h"
#include "../../autograd/graph.h"
#include "../../autograd/op.h"
#include "file.h"
#include "numbers.h"
#include "text.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace ebb::io {

namespace {

static_assert(std::endian::native == std::endian::little, "the format's numbers are little-endian");

constexpr std::uint64_t longest_header = 16u << 20;
constexpr std::size_t longest_name = 4096;

struct FileType {
  std::string_view name;
  std::uint64_t bytes;
  DType dtype;
};
constexpr FileType file_types[] = {
    {"F32", 4, f32}, {"F64", 8, f64}, {"I64", 8, i64}, {"F16", 2, f32}, {"BF16", 2, f32}};

struct Entry {
  std::string name;
  std::optional<std::string> dtype;
  std::optional<std::vector<std::uint64_t>> shape, offsets;
  // Found from these.
  const FileType* type = nullptr;
  Shape sizes;
};

bool has_control_characters(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

/// Takes the header's JSON as it is read, so that depth and size stay bounded and a key that comes twice is seen.
class HeaderReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderReader(std::string path) : path_(std::move(path)) {}
  std::vector<Entry> entries;

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a truth value"); }
  bool number_integer(number_integer_t) override { return unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { return unexpected("a fraction or too large a number"); }
  bool binary(binary_t&) override { return unexpected("binary data"); }
  bool number_unsigned(number_unsigned_t n) override {
    if (list_ == nullptr) return unexpected("a number");
    if (list_->size() >= 16) return unexpected("a list of more than 16 numbers");
    list_->push_back(n);
    return true;
  }
  bool string(string_t& text) override {
    if (place_ == metadata) return true;
    if (place_ != entry || list_ != nullptr || field_ != "dtype") return unexpected("a text");
    entries.back().dtype = text;
    return true;
  }
  bool start_object(std::size_t) override {
    if (place_ == outside) return go(top);
    if (place_ == top && name_ == "__metadata__") return go(metadata);
    if (place_ != top) return unexpected("an object");
    entries.push_back({name_, {}, {}, {}, nullptr, {}});
    return go(entry);
  }
  bool key(string_t& text) override {
    if (place_ == top) {
      if (!names_.insert(text).second) fail(fmt::format("\"{}\" is there twice", shown(text)));
      name_ = text;
    } else if (place_ == entry) {
      const Entry& e = entries.back();
      if ((text == "dtype" && e.dtype) || (text == "shape" && e.shape) || (text == "data_offsets" && e.offsets))
        fail(fmt::format("\"{}\" has \"{}\" twice", shown(e.name), text));
      field_ = text;
    }
    return true;
  }
  bool start_array(std::size_t) override {
    if (place_ != entry || list_ != nullptr) return unexpected("a list");
    auto* const target = field_ == "shape"          ? &entries.back().shape
                         : field_ == "data_offsets" ? &entries.back().offsets
                                                    : nullptr;
    if (target == nullptr) return unexpected("a list");
    list_ = &target->emplace();
    return true;
  }
  bool end_array() override {
    list_ = nullptr;
    return true;
  }
  bool end_object() override { return go(place_ == top ? outside : top); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    fail(fmt::format("it is not JSON from byte {} on", position));
  }

 private:
  enum Place { outside, top, entry, metadata };

  bool go(Place place) {
    place_ = place;
    return true;
  }
  bool unexpected(const char* what) const {
    fail(place_ == outside || name_.empty() ? fmt::format("{} has no place there", what)
                                            : fmt::format("{} has no place in \"{}\"", what, shown(name_)));
  }
  [[noreturn]] void fail(const std::string& why) const {
    throw ParseError(fmt::format("{}: the header is damaged: {}", path_, why));
  }

  std::string path_, name_, field_;
  std::set<std::string> names_;
  Place place_ = outside;
  std::vector<std::uint64_t>* list_ = nullptr;
};

float from_bfloat(std::uint16_t b) { return std::bit_cast<float>(static_cast<std::uint32_t>(b) << 16); }

Tensor numbers_at(const char* bytes, const Entry& e) {
  Tensor t = ebb::detail::empty(e.sizes, e.type->dtype);
  void* const to = ebb::detail::writable(t);
  const auto n = static_cast<std::size_t>(t.size());
  if (e.type->bytes == size_of(e.type->dtype)) {
    if (n != 0) std::memcpy(to, bytes, n * e.type->bytes);
    return t;
  }
  const auto widen = e.type->name == "F16" ? from_half : from_bfloat;
  for (std::size_t i = 0; i < n; ++i) {
    std::uint16_t narrow;
    std::memcpy(&narrow, bytes + 2 * i, 2);
    static_cast<float*>(to)[i] = widen(narrow);
  }
  return t;
}

/// Finds an entry's type and shape, and checks that they fill its place in the file.
void check(Entry& e, std::uint64_t data_begin, std::uint64_t file_end, const std::string& path) {
  const std::string name = shown(e.name);
  const auto refuse = [&](const std::string& why) { throw ParseError(fmt::format("{}: {} {}", path, name, why)); };
  if (e.name.empty()) throw ParseError(fmt::format("{}: a tensor has no name", path));
  if (e.name.size() > longest_name)
    refuse(fmt::format("has a name of {} bytes; {} are the most", e.name.size(), longest_name));
  if (has_control_characters(e.name)) refuse("has control characters in its name");
  if (!e.dtype) refuse("has no \"dtype\"");
  if (!e.shape) refuse("has no \"shape\"");
  if (!e.offsets || e.offsets->size() != 2) refuse("wants two \"data_offsets\"");

  const auto type =
      std::find_if(std::begin(file_types), std::end(file_types), [&](const FileType& t) { return t.name == *e.dtype; });
  if (type == std::end(file_types))
    throw DTypeError(
        fmt::format("{}: {} holds {}; F32, F64, I64, F16 and BF16 can be read", path, name, shown(*e.dtype)));
  e.type = type;

  std::array<std::int64_t, Shape::max_rank> sizes{};
  if (e.shape->size() > sizes.size())
    refuse(fmt::format("has {} axes; {} are the most", e.shape->size(), sizes.size()));
  std::uint64_t bytes = type->bytes;
  bool overflows = false;
  for (std::size_t axis = 0; axis < e.shape->size(); ++axis) {
    const std::uint64_t size = (*e.shape)[axis];
    overflows |= size > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) ||
                 __builtin_mul_overflow(bytes, std::max<std::uint64_t>(size, 1), &bytes);
    sizes[axis] = static_cast<std::int64_t>(size);
  }
  if (overflows ||
      bytes > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / 16)  // as Shape counts
    refuse(fmt::format("has shape [{}], which is more than 64 bits count", fmt::join(*e.shape, ", ")));
  e.sizes = Shape(std::span<const std::int64_t>(sizes.data(), e.shape->size()));
  if (e.sizes.size() == 0) bytes = 0;

  const std::uint64_t begin = (*e.offsets)[0], end = (*e.offsets)[1];
  if (begin > end || end - begin != bytes)
    refuse(fmt::format("of shape {} and type {} fills {} bytes, but its place is [{}, {})", to_string(e.sizes),
                       *e.dtype, bytes, begin, end));
  if (end > file_end - data_begin)
    refuse(fmt::format("needs bytes [{}, {}) but the file ends at {}: truncated copy?", begin + data_begin,
                       end + data_begin, file_end));
}

}  // namespace

Tensors parse_safetensors(std::string_view bytes, const std::string& path) {
  if (bytes.size() < 8)
    throw ParseError(fmt::format("{}: {} bytes are too few for a safetensors file", path, bytes.size()));
  std::uint64_t header_size;
  std::memcpy(&header_size, bytes.data(), 8);
  if (header_size > longest_header)
    throw ParseError(fmt::format("{}: the header claims {} bytes, and {} are the most: is it a safetensors file?", path,
                                 header_size, longest_header));
  if (header_size > bytes.size() - 8)
    throw ParseError(fmt::format("{}: the header needs bytes [8, {}) but the file ends at {}: truncated copy?", path,
                                 header_size + 8, bytes.size()));

  HeaderReader reader(path);
  const std::string_view header = bytes.substr(8, static_cast<std::size_t>(header_size));
  nlohmann::json::sax_parse(header.begin(), header.end(), &reader);

  const std::uint64_t data_begin = header_size + 8;
  for (Entry& e : reader.entries) check(e, data_begin, bytes.size(), path);
  std::sort(reader.entries.begin(), reader.entries.end(),
            [](const Entry& a, const Entry& b) { return std::tie(*a.offsets, a.name) < std::tie(*b.offsets, b.name); });
  std::uint64_t filled = 0;
  for (const Entry& e : reader.entries) {
    const std::uint64_t begin = e.offsets->front();
    if (begin != filled)
      throw ParseError(
          fmt::format("{}: {} begins at byte {} of the data, {}, which ends at {}", path, shown(e.name), begin,
                      begin < filled ? "inside the tensor before" : "behind a hole after the tensor before", filled));
    filled = e.offsets->back();
  }
  if (filled != bytes.size() - data_begin)
    throw ParseError(fmt::format("{}: {} bytes follow the last tensor", path, bytes.size() - data_begin - filled));

  Tensors tensors;
  for (const Entry& e : reader.entries)
    tensors.emplace(e.name, numbers_at(bytes.data() + data_begin + e.offsets->front(), e));
  return tensors;
}

Tensors read_safetensors(const std::string& path) { return parse_safetensors(read_file(path), path); }

void write_safetensors(const std::string& path, const Tensors& tensors) {
  using Item = std::pair<std::string_view, const Tensor*>;
  std::vector<Item> items;
  for (const auto& [name, tensor] : tensors) {
    if (name.empty() || name.size() > longest_name || name == "__metadata__" || has_control_characters(name))
      throw UsageError(fmt::format("write_safetensors: \"{}\" cannot be a tensor's name in a file", shown(name)));
    items.emplace_back(name, &tensor);
  }
  // Wide numbers first, so that all stand at multiples of their size.
  std::stable_sort(items.begin(), items.end(), [](const Item& a, const Item& b) {
    return size_of(a.second->dtype()) > size_of(b.second->dtype());
  });

  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  std::vector<std::span<const char>> parts(2);
  std::uint64_t offset = 0;
  for (const auto& [name, tensor] : items) {
    const auto bytes = static_cast<std::size_t>(tensor->size()) * size_of(tensor->dtype());
    const char* const type = tensor->dtype() == f32 ? "F32" : tensor->dtype() == f64 ? "F64" : "I64";
    nlohmann::ordered_json entry;
    entry["dtype"] = type;
    entry["shape"] = std::vector<std::int64_t>(tensor->shape().begin(), tensor->shape().end());
    entry["data_offsets"] = {offset, offset + bytes};
    header[std::string(name)] = std::move(entry);
    parts.emplace_back(static_cast<const char*>(ebb::detail::impl(*tensor).data), bytes);
    offset += bytes;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::type_error&) {
    throw UsageError("write_safetensors: a tensor's name is not UTF-8");
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t size = text.size();
  if (size > longest_header)
    throw UsageError(fmt::format("write_safetensors: {} tensors need a header of {} bytes, and {} are the most",
                                 tensors.size(), size, longest_header));
  char length[8];
  std::memcpy(length, &size, 8);
  parts[0] = length;
  parts[1] = text;
  replace_file(path, parts);
}

}  // namespace ebb::io

namespace ebb::nn {

namespace {

/// The tensors whose names begin with the prefix, without it.
io::Tensors behind(const std::string& prefix, io::Tensors file, const std::string& path) {
  if (prefix.empty()) return file;
  io::Tensors found;
  for (auto& [name, tensor] : file)
    if (name.size() > prefix.size() && name.starts_with(prefix))
      found.emplace(name.substr(prefix.size()), std::move(tensor));
  if (found.empty()) throw UsageError(fmt::format("{}: no name begins with \"{}\"", path, io::shown(prefix)));
  return found;
}

/// A line of help if most of what the model misses is in the file, behind one prefix; else "".
std::string prefix_help(const io::Tensors& file, const io::Tensors& own, const std::string& before) {
  std::map<std::string, std::size_t> behind_it;
  std::size_t missing = 0;
  for (const auto& [name, tensor] : own) {
    if (file.contains(name)) continue;
    ++missing;
    for (const auto& [longer, other] : file)
      if (longer.ends_with("." + name)) ++behind_it[longer.substr(0, longer.size() - name.size())];
  }
  for (const auto& [prefix, names] : behind_it)
    if (2 * names > missing)
      return fmt::format("\n  help: the file's names begin with \"{0}\": {{.prefix = \"{0}\"}}",
                         io::shown(before + prefix));
  return "";
}

/// The model's own numbers, and instead of them those that the file has.
io::Tensors merged(io::Tensors own, const io::Tensors& file, LoadReport& report) {
  for (const auto& [name, tensor] : own)
    if (!file.contains(name)) report.missing.push_back(name);
  for (const auto& [name, tensor] : file) {
    const auto place = own.find(name);
    if (place == own.end()) {
      report.unknown.push_back(name);
      continue;
    }
    const bool converts = is_floating(tensor.dtype()) && is_floating(place->second.dtype());
    place->second = converts ? tensor.to(place->second.dtype()) : tensor;
  }
  return own;
}

}  // namespace

io::Tensors numbers(const Contents& contents) {
  io::Tensors found;
  const auto add = [&found](const std::string& name, const Tensor& value) {
    if (!found.emplace(name, value).second)
      throw UsageError(fmt::format("nn::save: two parts of the model are called \"{}\"", name));
  };
  for (const Contents::Trained& p : contents.parameters) add(p.name, p.parameter->value());
  for (const Contents::Kept& b : contents.buffers)
    if (b.tensor->defined()) add(b.name, *b.tensor);
  return found;
}

void require_fit(const io::Tensors& given, const io::Tensors& wanted, const std::string& source, const char* holder,
                 const std::string& outcome) {
  std::vector<std::string> differing, missing, unknown, complaints;
  for (const auto& [name, model] : wanted) {
    const auto found = given.find(name);
    if (found == given.end()) missing.push_back(name);
    else if (found->second.shape() != model.shape())
      differing.push_back(fmt::format("{} is {} in {}, {} in the model", name, to_string(found->second.shape()), holder,
                                      to_string(model.shape())));
    else if (found->second.dtype() != model.dtype())
      differing.push_back(fmt::format("{} is {} in {}, {} in the model", name, to_string(found->second.dtype()), holder,
                                      to_string(model.dtype())));
  }
  for (const auto& [name, tensor] : given)
    if (!wanted.contains(name)) unknown.push_back(io::shown(name));
  if (!differing.empty()) complaints.push_back(io::listed(differing, 5));
  if (!missing.empty()) complaints.push_back(fmt::format("missing in {}: {}", holder, io::listed(missing, 5)));
  if (!unknown.empty()) complaints.push_back("unknown: " + io::listed(unknown, 5));
  if (!complaints.empty())
    throw UsageError(fmt::format("{} does not fit the model: {}. {}", source, fmt::join(complaints, "; "), outcome));
}

void give_numbers(const Contents& contents, const io::Tensors& given, const std::string& source,
                  const std::string& help) {
  require_fit(given, numbers(contents), source, "the file", "Nothing was loaded" + help);
  // The model that was visited is not const: load() asks for that.
  for (const Contents::Trained& p : contents.parameters) const_cast<Parameter*>(p.parameter)->assign(given.at(p.name));
  for (const Contents::Kept& b : contents.buffers)
    if (b.tensor->defined()) *const_cast<Tensor*>(b.tensor) = given.at(b.name);
}

LoadReport load_contents(const Contents& contents, const std::string& path, const LoadOptions& options) {
  const Pause pause;  // what is converted here is no part of a graph
  const io::Tensors file = behind(options.prefix, io::read_safetensors(path), path), own = numbers(contents);
  const std::string help = prefix_help(file, own, options.prefix);
  LoadReport report;
  if (options.strict) {
    give_numbers(contents, file, path, help);
    return report;
  }
  const io::Tensors both = merged(own, file, report);
  if (report.missing.size() == own.size() && !own.empty())
    throw UsageError(fmt::format("{} has none of the model's names, such as {}. Nothing was loaded{}", path,
                                 own.begin()->first, help));
  give_numbers(contents, both, path);
  return report;
}

}  // namespace ebb::nn
