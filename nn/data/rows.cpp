#include "rows.h"

#include "../../autograd/op.h"

#include <cstring>

namespace ebb::data::detail {

Tensor gather_rows(const Tensor& x, std::span<const std::int64_t> numbers) {
  ebb::detail::cannot_replay("takes rows of a dataset");
  const Shape shape = x.shape().with(0, std::ssize(numbers));
  Tensor y = ebb::detail::empty(shape, x.dtype());
  if (y.size() == 0) return y;
  const std::size_t bytes = static_cast<std::size_t>(y.size()) / numbers.size() * size_of(x.dtype());
  const char* const from = static_cast<const char*>(ebb::detail::impl(x).data);
  char* to = static_cast<char*>(ebb::detail::writable(y));
  for (const std::int64_t i : numbers) {
    std::memcpy(to, from + static_cast<std::size_t>(i) * bytes, bytes);
    to += bytes;
  }
  return y;
}

}  // namespace ebb::data::detail
