#include "idx.h"

#include "../../autograd/error.h"
#include "../../autograd/ops.h"
#include "../io/idx.h"

#include <fmt/format.h>

namespace ebb::data {

Dataset idx(const std::string& images, const std::string& labels, const IdxOptions& options) {
  Tensor y = io::read_idx(labels);
  if (y.rank() != 1 || y.dtype() != i64)
    throw ParseError(fmt::format("{}: labels must be whole numbers of shape [n], got {} {}", labels,
                                 to_string(y.dtype()), to_string(y.shape())));
  Tensor x = io::read_idx(images, f32);
  if (x.rank() < 1 || x.shape()[0] != y.size())
    throw ParseError(fmt::format("{}: {} labels for images {} of {}", labels, y.size(), to_string(x.shape()), images));
  x = x * options.scale;
  if (options.channel && x.rank() == 3) x = unsqueeze(x, 1);
  return {std::move(x), std::move(y)};
}

}  // namespace ebb::data
