#include "attention.h"

#include "../autograd/error.h"
#include "../autograd/ops.h"
#include "../autograd/require.h"
#include "../autograd/telling.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

namespace ebb::nn {

namespace {

using ebb::detail::Complaint;
using ebb::detail::require;

/// Far below every score, and yet a number: a row of -inf alone would come out of softmax as NaN.
constexpr double hidden = -1e30;

/// Which queries may look at which keys; a `where` that holds nothing means all.
struct Sight {
  Tensor where;
  bool some_see_nothing = false;

  void restrict_to(const Tensor& also) { where = where.defined() ? where && also : also; }
};

/// 1 where a key comes before its row's length.  [n, 1, ..., 1, k]
Tensor within_lengths(const Tensor& lengths, const Shape& scores) {
  const std::int64_t k = scores[-1];
  require(lengths.dtype() == i64, Complaint::dtype, "key_lengths must be i64, not {}", to_string(lengths.dtype()));
  require(scores.rank() >= 3, "key_lengths are for batches, [n, ..., k, d]");
  require(lengths.shape() == Shape{scores[0]}, "key_lengths must be of shape [{}], one for each row, not {}", scores[0],
          to_string(lengths.shape()));
  const auto check = [](const std::int64_t* length, std::int64_t n, std::int64_t most) {
    for (std::int64_t i = 0; i < n; ++i)
      require(length[i] >= 0 && length[i] <= most, Complaint::usage, "key_lengths[{}] = {} is outside [0, {}]", i,
              length[i], most);
  };
  ebb::detail::launch(check, ebb::detail::read<std::int64_t>(lengths), lengths.size(), k);
  Shape rows{scores[0]};
  while (rows.rank() < scores.rank()) rows = rows.inserted(1, 1);
  return arange(k) < reshape(lengths, rows);
}

/// Throws UsageError for a mask of other numbers than 0 and 1, such as one that is meant to be added to the scores.
void require_yes_or_no(const Tensor& mask) {
  ebb::detail::dispatch(mask.dtype(), [&]<class T>(T) {
    const auto check = [](const T* numbers, const Shape& shape) {
      const T* const end = numbers + shape.size();
      const T* const wrong = std::find_if(numbers, end, [](T v) { return v != T(0) && v != T(1); });
      if (wrong == end) return;
      throw Complaint{Complaint::usage,
                      fmt::format("mask{} = {}, and it must be 1 where a query may look and 0 where not",
                                  ebb::detail::place_text(shape, wrong - numbers), *wrong),
                      "of a mask that is added, with 0 where a query may look, make mask == 0"};
    };
    ebb::detail::launch(check, ebb::detail::read<T>(mask), mask.shape());
  });
}

Sight sight_of(const AttentionOptions& options, const Shape& scores) {
  Sight sight;
  const std::int64_t q = scores[-2], k = scores[-1];
  if (options.causal) {
    require(q <= k, "causal queries are the last of the keys' places, but there are {} queries for {} keys", q, k);
    sight.restrict_to(reshape(arange(q) + (k - q), {q, 1}) >= arange(k));
  }
  if (options.key_lengths.defined()) {
    sight.restrict_to(within_lengths(options.key_lengths, scores));
    const auto any_empty = [](const std::int64_t* lengths, std::int64_t n) {
      return std::any_of(lengths, lengths + n, [](std::int64_t length) { return length == 0; });
    };
    sight.some_see_nothing = ebb::detail::decided(
        any_empty, ebb::detail::read<std::int64_t>(options.key_lengths), options.key_lengths.size());
  }
  if (options.mask.defined()) {
    bool fits = options.mask.rank() <= scores.rank();
    for (int back = -1; fits && back >= -options.mask.rank(); --back)
      fits = options.mask.shape()[back] == scores[back] || options.mask.shape()[back] == 1;
    require(fits, "a mask of shape {} does not broadcast to the scores {}", to_string(options.mask.shape()),
            to_string(scores));
    require_yes_or_no(options.mask);
    sight.restrict_to(options.mask != 0);
    sight.some_see_nothing = true;  // for all that is known
  }
  return sight;
}

/// softmax(query·keyᵀ / √d), of which nothing is asked yet.
Tensor weights_of(const Tensor& query, const Tensor& key, const AttentionOptions& options) {
  require(query.rank() >= 2 && key.rank() >= 2, "queries and keys have at least two axes, [..., places, d]");
  const std::int64_t d = query.shape()[-1];
  require(d == key.shape()[-1], "queries are of size {}, keys of {}", d, key.shape()[-1]);
  const Tensor scores =
      matmul(query * (1 / std::sqrt(static_cast<double>(std::max<std::int64_t>(d, 1)))), key, {.tb = true});
  const Sight sight = sight_of(options, scores.shape());
  if (!sight.where.defined()) return softmax(scores);
  const Tensor weights = softmax(where(sight.where, scores, hidden));
  return sight.some_see_nothing ? where(sight.where, weights, 0.0) : weights;
}

bool same(const Tensor& a, const Tensor& b) { return &ebb::detail::impl(a) == &ebb::detail::impl(b); }

std::string attention_kind(std::int64_t dim, std::int64_t heads) {
  std::string kind = fmt::format("MultiHeadAttention({}, {} heads)", dim, heads);
  constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();  // a matrix product counts in 32 bits
  if (dim < 1 || heads < 1 || dim > most) throw UsageError(fmt::format("{}: sizes must be in [1, {}]", kind, most));
  if (dim % heads != 0) throw UsageError(fmt::format("{}: the heads must divide the size", kind));
  return kind;
}

/// [3·dim, dim]; sizes are checked first.
Tensor draw(std::int64_t dim, std::int64_t heads, const MultiHeadAttentionOptions& o) {
  const std::string kind = attention_kind(dim, heads);
  return draw_weight(kind, o.init, {3 * dim, dim}, o.dtype);
}

}  // namespace

Tensor attention_weights(const Tensor& query, const Tensor& key, const AttentionOptions& options) {
  return ebb::detail::asked_of("attention_weights", {&query, &key}, [&] { return weights_of(query, key, options); });
}

Tensor attention(const Tensor& query, const Tensor& key, const Tensor& value, const AttentionOptions& options) {
  return ebb::detail::asked_of("attention", {&query, &key, &value}, [&] {
    require(value.rank() >= 2, "values have at least two axes, [..., places, dv]");
    require(key.rank() < 2 || key.shape()[-2] == value.shape()[-2], "there are {} keys and {} values",
            key.rank() < 2 ? 0 : key.shape()[-2], value.shape()[-2]);
    return matmul(weights_of(query, key, options), value);
  });
}

MultiHeadAttention::MultiHeadAttention(std::int64_t dim, std::int64_t count, const MultiHeadAttentionOptions& o)
    : in_proj_weight(draw(dim, count, o)),
      in_proj_bias(zeros({o.bias ? 3 * dim : 0}, o.dtype)),
      out_proj(dim, dim, {.bias = o.bias, .init = o.init, .dtype = o.dtype}),
      dropout(o.dropout),
      heads(count),
      causal(o.causal),
      label(attention_kind(dim, count)) {}

Tensor MultiHeadAttention::projected(const Tensor& x, std::int64_t first, std::int64_t count) const {
  const std::int64_t dim = in_proj_weight.shape()[1];
  const auto part = [&](const Tensor& of_all) {
    return count == 3 ? of_all : slice(of_all, first * dim, (first + count) * dim);
  };
  const Tensor w = part(in_proj_weight);
  const Tensor y = in_proj_bias.size() == 0 ? matmul(x, w, {.tb = true}) : affine(x, w, part(in_proj_bias));
  return permute(reshape(y, {x.shape()[0], x.shape()[1], count, heads, dim / heads}), {2, 0, 3, 1, 4});
}

Tensor MultiHeadAttention::operator()(const Tensor& query, const Tensor& key, const Tensor& value,
                                      const AttentionOptions& asked) const {
  const Scope scope = label.scope();
  return ebb::detail::asked_of("MultiHeadAttention", {&query, &key, &value}, [&] {
    const std::int64_t dim = in_proj_weight.shape()[1], n = query.rank() == 3 ? query.shape()[0] : 0;
    for (const Tensor* x : {&query, &key, &value})
      require(x->rank() == 3 && x->shape()[2] == dim, "inputs are [n, time, {}]", dim);
    for (const Tensor* x : {&key, &value})
      require(x->shape()[0] == n, "the batches differ, {} != {}", n, x->shape()[0]);
    require(key.shape()[1] == value.shape()[1], "there are {} keys and {} values", key.shape()[1], value.shape()[1]);

    Tensor q, k, v;  // [n, heads, time, dim / heads]
    if (same(query, key) && same(query, value)) {
      const Tensor all = projected(query, 0, 3);
      q = all[0];
      k = all[1];
      v = all[2];
    } else {
      q = projected(query, 0, 1)[0];
      k = projected(key, 1, 1)[0];
      v = projected(value, 2, 1)[0];
    }
    AttentionOptions options = asked;
    options.causal |= causal;
    if (options.mask.defined() && options.mask.rank() == 3) options.mask = unsqueeze(options.mask, 1);  // for all heads
    Tensor weights = weights_of(q, k, options);
    if (dropout.p > 0) weights = dropout(weights);
    return out_proj(reshape(permute(matmul(weights, v), {0, 2, 1, 3}), {n, query.shape()[1], dim}));
  });
}

void MultiHeadAttention::ebb_visit(Visitor& visitor) const {
  visitor.fields("label, in_proj_weight", label, in_proj_weight);
  visitor.field_if_any("in_proj_bias", in_proj_bias);
  visitor.field("out_proj", out_proj);
  if (dropout.p > 0) visitor.field("dropout", dropout);
}

}  // namespace ebb::nn
