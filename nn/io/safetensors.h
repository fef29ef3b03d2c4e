// Models in files: the safetensors format, names and layout as in PyTorch's state_dict.
#pragma once

#include "../module.h"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ebb::io {

/// Tensors by name.
using Tensors = std::map<std::string, Tensor>;

/// Reads F32, F64 and I64 as they are, F16 and BF16 as f32.
/// Throws IoError if the file cannot be read, ParseError if it is not what the format says (nothing in it is trusted:
/// sizes, offsets, names and order are checked before anything is allocated), DTypeError for another type of numbers.
Tensors read_safetensors(const std::string& path);
/// The same of a file's bytes; `path` is for messages.
Tensors parse_safetensors(std::string_view bytes, const std::string& path);

/// Writes tensors; the same tensors give the same bytes.  The old file stays whole until the new one is.
/// Throws IoError, or UsageError for a name that the format does not allow.
void write_safetensors(const std::string& path, const Tensors& tensors);

}  // namespace ebb::io

namespace ebb::nn {

/// How nn::load goes by a file: nn::load(model, "pretrained.safetensors", {.strict = false, .prefix = "backbone."});
struct LoadOptions {
  /// The file must have exactly the model's names and types.  Else names that only one of them has are left out, and F64
  /// and f32 become what the model has; shapes must agree all the same.
  bool strict = true;
  std::string prefix = "";  ///< reads only the file's names that begin with it, as if they began behind it
};

/// What nn::load left out.
struct LoadReport {
  std::vector<std::string> missing;  ///< names that only the model has: their numbers stayed
  std::vector<std::string> unknown;  ///< names that only the file has, without the prefix
};

/// The numbers of a model by name.  Throws UsageError if two have the same name.
io::Tensors numbers(const Contents& contents);
/// Gives a model the numbers of a file.
LoadReport load_contents(const Contents& contents, const std::string& path, const LoadOptions& options);
/// Gives a model these numbers; `source` is what they are from and `help` a last line, for messages.
void give_numbers(const Contents& contents, const io::Tensors& given, const std::string& source,
                  const std::string& help = "");
/// Throws UsageError unless `given` has exactly the names, shapes and types of `wanted`: "`source` does not fit the model:
/// w is [1] in `holder`, [2] in the model. `outcome`".
void require_fit(const io::Tensors& given, const io::Tensors& wanted, const std::string& source, const char* holder,
                 const std::string& outcome);

/// Writes a model's parameters and buffers to a safetensors file, in one step: on failure the old file stays.
/// Throws IoError.
template <class Model> void save(const Model& model, const std::string& path) {
  io::write_safetensors(path, numbers(contents(model)));
}

/// Gives a model the numbers of a file that has exactly its names, shapes and types, or with .strict = false those that
/// both have; tells what was left out.  Else throws, having changed nothing.
/// Throws IoError, ParseError (see read_safetensors), UsageError if the file belongs to another model: also if it has none
/// of the model's names, whatever the options.
template <class Model> LoadReport load(Model& model, const std::string& path, const LoadOptions& options = {}) {
  static_assert(!std::is_const_v<Model>, "nn::load changes its model, so it must not be const");
  return load_contents(contents(model), path, options);
}

}  // namespace ebb::nn
