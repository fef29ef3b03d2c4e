// Plain loops that say what the kernels compute: slow, in double, one element at a time, each a few lines to check by
// eye.  Axes are counted from the front.
#pragma once

#include <ebb/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace ebb::reference {

using Index = std::vector<std::int64_t>;

/// A tensor's numbers as doubles, read and written at an index.
struct Plain {
  Shape shape;
  std::vector<double> numbers;

  explicit Plain(const Shape& s, double fill = 0) : shape(s), numbers(static_cast<std::size_t>(s.size()), fill) {}
  explicit Plain(const Tensor& t) : shape(t.shape()), numbers(t.to_vector<double>()) {}

  double& operator[](const Index& index) { return numbers[place(index)]; }
  double operator[](const Index& index) const { return numbers[place(index)]; }

 private:
  std::size_t place(const Index& index) const {
    std::int64_t at = 0;
    for (int axis = 0; axis < shape.rank(); ++axis) at = at * shape[axis] + index[static_cast<std::size_t>(axis)];
    return static_cast<std::size_t>(at);
  }
};

/// Calls f with every index of the shape, in row-major order.
template <class F> void for_each_index(const Shape& shape, F&& f) {
  Index index(static_cast<std::size_t>(shape.rank()), 0);
  for (std::int64_t left = shape.size(); left > 0; --left) {
    f(std::as_const(index));
    for (std::size_t axis = index.size(); axis-- > 0;) {
      if (++index[axis] < shape[static_cast<int>(axis)]) break;
      index[axis] = 0;
    }
  }
}

inline Shape shape_of(const Index& sizes) { return Shape(std::span<const std::int64_t>(sizes)); }

/// The index in a smaller shape from which broadcasting reads, by NumPy's rule.
inline Index broadcast_index(const Index& index, const Shape& shape) {
  Index from;
  const std::size_t skipped = index.size() - static_cast<std::size_t>(shape.rank());
  for (int axis = 0; axis < shape.rank(); ++axis)
    from.push_back(shape[axis] == 1 ? 0 : index[skipped + static_cast<std::size_t>(axis)]);
  return from;
}

template <class F> Plain map(const Plain& a, const Plain& b, F&& f) {
  Plain y(broadcast(a.shape, b.shape));
  for_each_index(y.shape,
                 [&](const Index& i) { y[i] = f(a[broadcast_index(i, a.shape)], b[broadcast_index(i, b.shape)]); });
  return y;
}

/// For each place of the result, the numbers that are reduced to it, given to `fold`.  Bit i of `axes`: axis i goes.
template <class Fold> Plain reduce(const Plain& x, unsigned axes, bool keepdim, Fold&& fold) {
  Index sizes, kept_axes;
  for (int axis = 0; axis < x.shape.rank(); ++axis) {
    const bool goes = (axes >> axis & 1) != 0;
    if (!goes) kept_axes.push_back(axis);
    if (!goes) sizes.push_back(x.shape[axis]);
    else if (keepdim) sizes.push_back(1);
  }
  Plain y(shape_of(sizes));
  for_each_index(y.shape, [&](const Index& i) {
    std::vector<double> run;
    for_each_index(x.shape, [&](const Index& j) {
      bool same = true;
      for (int axis = 0, k = 0; axis < x.shape.rank(); ++axis) {
        const bool goes = (axes >> axis & 1) != 0;
        if (!goes) same = same && i[static_cast<std::size_t>(k)] == j[static_cast<std::size_t>(axis)];
        if (!goes || keepdim) ++k;
      }
      if (same) run.push_back(x[j]);
    });
    y[i] = fold(run);
  });
  return y;
}

inline double sum(const std::vector<double>& run) {
  double total = 0;
  for (const double x : run) total += x;
  return total;
}
inline double mean(const std::vector<double>& run) { return sum(run) / static_cast<double>(run.size()); }
inline double var(const std::vector<double>& run, int correction) {
  double total = 0;
  for (const double x : run) total += (x - mean(run)) * (x - mean(run));
  return total / (static_cast<double>(run.size()) - correction);
}
inline double max(const std::vector<double>& run) { return *std::max_element(run.begin(), run.end()); }
inline double min(const std::vector<double>& run) { return *std::min_element(run.begin(), run.end()); }
inline double argmax(const std::vector<double>& run) {
  return static_cast<double>(std::max_element(run.begin(), run.end()) - run.begin());
}
inline double argmin(const std::vector<double>& run) {
  return static_cast<double>(std::min_element(run.begin(), run.end()) - run.begin());
}
inline double prod(const std::vector<double>& run) {
  double product = 1;
  for (const double x : run) product *= x;
  return product;
}
/// For numbers whose squares a double holds.
inline double norm(const std::vector<double>& run) {
  double total = 0;
  for (const double x : run) total += x * x;
  return std::sqrt(total);
}
/// For numbers whose exponentials a double holds.
inline double logsumexp(const std::vector<double>& run) {
  double total = 0;
  for (const double x : run) total += std::exp(x);
  return std::log(total);
}

/// x less the logsumexp of its axis; its exponential is the softmax.
inline Plain log_softmax(const Plain& x, int axis) {
  const Plain total = reduce(x, 1u << axis, true, [](const auto& run) { return logsumexp(run); });
  return map(x, total, [](double v, double t) { return v - t; });
}

inline Plain cumsum(const Plain& x, int axis) {
  Plain y(x.shape);
  for_each_index(x.shape, [&](const Index& i) {
    Index from = i;
    for (std::int64_t& k = from[static_cast<std::size_t>(axis)]; k >= 0; --k) y[i] += x[from];
  });
  return y;
}

/// The last two axes multiplied, after each operand is read transposed if so asked; the axes before them broadcast.
inline Plain matmul(const Plain& a, const Plain& b, bool ta, bool tb) {
  const std::int64_t m = a.shape[ta ? -1 : -2], inner = a.shape[ta ? -2 : -1], n = b.shape[tb ? -2 : -1];
  const auto batch = [](const Shape& s) { return shape_of(Index(s.begin(), s.end() - 2)); };
  const Shape outer = broadcast(batch(a.shape), batch(b.shape));
  Plain y(outer.inserted(outer.rank(), m).inserted(outer.rank() + 1, n));
  for_each_index(y.shape, [&](const Index& i) {
    const Index at(i.begin(), i.end() - 2);
    const std::int64_t row = i[i.size() - 2], column = i.back();
    double total = 0;
    for (std::int64_t k = 0; k < inner; ++k) {
      Index ia = broadcast_index(at, batch(a.shape)), ib = broadcast_index(at, batch(b.shape));
      ia.insert(ia.end(), {ta ? k : row, ta ? row : k});
      ib.insert(ib.end(), {tb ? column : k, tb ? k : column});
      total += a[ia] * b[ib];
    }
    y[i] = total;
  });
  return y;
}

/// Axis i of the result is axis order[i] of x.
inline Plain permute(const Plain& x, const std::vector<int>& order) {
  Index sizes;
  for (const int axis : order) sizes.push_back(x.shape[axis]);
  Plain y(shape_of(sizes));
  for_each_index(y.shape, [&](const Index& i) {
    Index from(i.size());
    for (std::size_t k = 0; k < order.size(); ++k) from[static_cast<std::size_t>(order[k])] = i[k];
    y[i] = x[from];
  });
  return y;
}

inline Plain slice(const Plain& x, std::int64_t begin, std::int64_t end, int axis) {
  Plain y(x.shape.with(axis, end - begin));
  for_each_index(y.shape, [&](Index i) {
    const Index to = i;
    i[static_cast<std::size_t>(axis)] += begin;
    y[to] = x[i];
  });
  return y;
}

inline Plain concat(const Plain& a, const Plain& b, int axis) {
  const std::int64_t split = a.shape[axis];
  Plain y(a.shape.with(axis, split + b.shape[axis]));
  for_each_index(y.shape, [&](Index i) {
    const Index to = i;
    std::int64_t& at = i[static_cast<std::size_t>(axis)];
    if (at < split) {
      y[to] = a[i];
    } else {
      at -= split;
      y[to] = b[i];
    }
  });
  return y;
}

inline Plain gather(const Plain& x, const Plain& index, int axis) {
  Plain y(index.shape);
  for_each_index(y.shape, [&](Index i) {
    const Index to = i;
    i[static_cast<std::size_t>(axis)] = static_cast<std::int64_t>(index[to]);
    y[to] = x[i];
  });
  return y;
}

inline Plain scatter_add(Plain y, const Plain& index, const Plain& x, int axis) {
  for_each_index(index.shape, [&](Index i) {
    const Index from = i;
    i[static_cast<std::size_t>(axis)] = static_cast<std::int64_t>(index[from]);
    y[i] += x[from];
  });
  return y;
}

/// index [...] stands where x's axis was.
inline Plain take(const Plain& x, const Plain& index, int axis) {
  const auto a = static_cast<std::ptrdiff_t>(axis), n = static_cast<std::ptrdiff_t>(index.shape.rank());
  Index sizes(x.shape.begin(), x.shape.end());
  sizes.erase(sizes.begin() + a);
  sizes.insert(sizes.begin() + a, index.shape.begin(), index.shape.end());
  Plain y(shape_of(sizes));
  for_each_index(y.shape, [&](const Index& i) {
    Index from = i;
    from.erase(from.begin() + a, from.begin() + a + n);
    from.insert(from.begin() + a, static_cast<std::int64_t>(index[Index(i.begin() + a, i.begin() + a + n)]));
    y[i] = x[from];
  });
  return y;
}

/// One pair of widths for each axis.
inline Plain pad(const Plain& x, const std::vector<std::pair<std::int64_t, std::int64_t>>& widths, double value) {
  Index sizes;
  for (std::size_t axis = 0; axis < widths.size(); ++axis)
    sizes.push_back(widths[axis].first + x.shape[static_cast<int>(axis)] + widths[axis].second);
  Plain y(shape_of(sizes), value);
  for_each_index(x.shape, [&](const Index& i) {
    Index to = i;
    for (std::size_t axis = 0; axis < widths.size(); ++axis) to[axis] += widths[axis].first;
    y[to] = x[i];
  });
  return y;
}

/// Bit i of `axes`: axis i runs backwards.
inline Plain flip(const Plain& x, unsigned axes) {
  Plain y(x.shape);
  for_each_index(x.shape, [&](const Index& i) {
    Index from = i;
    for (std::size_t axis = 0; axis < i.size(); ++axis)
      if ((axes >> axis & 1) != 0) from[axis] = x.shape[static_cast<int>(axis)] - 1 - i[axis];
    y[i] = x[from];
  });
  return y;
}

/// Where an operand with these letters is read when the letters of `all` stand at `index`; axes of size 1 broadcast.
inline Index lettered_index(const Shape& shape, const std::string& letters, const std::string& all,
                            const Index& index) {
  Index at;
  for (std::size_t axis = 0; axis < letters.size(); ++axis)
    at.push_back(shape[static_cast<int>(axis)] == 1 ? 0 : index[all.find(letters[axis])]);
  return at;
}

/// Products of all operands, added up over every letter that the result does not have: one loop over all letters.
inline Plain einsum(const std::vector<std::string>& letters, const std::string& result,
                    const std::vector<Plain>& operands) {
  std::string all;
  Index sizes;
  for (std::size_t k = 0; k < operands.size(); ++k)
    for (std::size_t axis = 0; axis < letters[k].size(); ++axis) {
      const std::int64_t n = operands[k].shape[static_cast<int>(axis)];
      const std::size_t known = all.find(letters[k][axis]);
      if (known == std::string::npos) {
        all += letters[k][axis];
        sizes.push_back(n);
      } else if (sizes[known] == 1) {
        sizes[known] = n;
      }
    }
  Index result_sizes;
  for (const char c : result) result_sizes.push_back(sizes[all.find(c)]);
  Plain y(shape_of(result_sizes));
  for_each_index(shape_of(sizes), [&](const Index& index) {
    double product = 1;
    for (std::size_t k = 0; k < operands.size(); ++k)
      product *= operands[k][lettered_index(operands[k].shape, letters[k], all, index)];
    y[lettered_index(y.shape, result, all, index)] += product;
  });
  return y;
}

/// Calls f(index in x, index in one output's kernel) for what the window of y's index reads, padding left out.
template <class F> void for_each_tap(const Index& y, const Shape& x, const Shape& kernel, const Conv2dOptions& o,
                                     std::int64_t channel, F&& f) {
  for_each_index(kernel, [&](const Index& k) {
    const std::int64_t row = y[2] * o.stride.h + k[1] * o.dilation.h - o.padding.h,
                       column = y[3] * o.stride.w + k[2] * o.dilation.w - o.padding.w;
    if (row >= 0 && row < x[2] && column >= 0 && column < x[3]) f(Index{y[0], channel + k[0], row, column}, k);
  });
}

inline std::int64_t windows(std::int64_t image, std::int64_t size, std::int64_t stride, std::int64_t padding,
                            std::int64_t dilation) {
  std::int64_t n = 0;
  while (n * stride + (size - 1) * dilation < image + 2 * padding) ++n;
  return n;
}

inline Plain conv2d(const Plain& x, const Plain& w, const Conv2dOptions& o) {
  const std::int64_t in = w.shape[1], out = w.shape[0];
  Plain y(Shape{x.shape[0], out, windows(x.shape[2], w.shape[2], o.stride.h, o.padding.h, o.dilation.h),
                windows(x.shape[3], w.shape[3], o.stride.w, o.padding.w, o.dilation.w)});
  for_each_index(y.shape, [&](const Index& i) {
    const std::int64_t group = i[1] / (out / o.groups);
    for_each_tap(i, x.shape, w.shape.without(0), o, group * in, [&](const Index& from, const Index& k) {
      y[i] += x[from] * w[{i[1], k[0], k[1], k[2]}];
    });
  });
  return y;
}

/// Each number of x is added to the result through the whole kernel; what falls outside of it is lost.
inline Plain conv_transpose2d(const Plain& x, const Plain& w, const ConvTranspose2dOptions& o) {
  const auto size = [](std::int64_t n, std::int64_t k, std::int64_t stride, std::int64_t padding, std::int64_t more,
                       std::int64_t dilation) {
    return (n - 1) * stride - 2 * padding + dilation * (k - 1) + more + 1;
  };
  const std::int64_t out = w.shape[1], in = w.shape[0] / o.groups;
  Plain y(Shape{x.shape[0], out * o.groups,
                size(x.shape[2], w.shape[2], o.stride.h, o.padding.h, o.output_padding.h, o.dilation.h),
                size(x.shape[3], w.shape[3], o.stride.w, o.padding.w, o.output_padding.w, o.dilation.w)});
  for_each_index(x.shape, [&](const Index& i) {
    for_each_tap(i, y.shape, w.shape.without(0), {o.stride, o.padding, o.dilation, o.groups}, i[1] / in * out,
                 [&](const Index& to, const Index& k) {
                   y[to] += x[i] * w[{i[1], k[0], k[1], k[2]}];
                 });
  });
  return y;
}

/// For each window the numbers in it, those in the padding left out, given to `fold`.
template <class Fold> Plain pool2d(const Plain& x, Pair size, Pair stride, Pair padding, Fold&& fold) {
  Plain y(Shape{x.shape[0], x.shape[1], windows(x.shape[2], size.h, stride.h, padding.h, 1),
                windows(x.shape[3], size.w, stride.w, padding.w, 1)});
  for_each_index(y.shape, [&](const Index& i) {
    std::vector<double> run;
    for_each_tap(i, x.shape, {1, size.h, size.w}, {stride, padding}, i[1],
                 [&](const Index& from, const Index&) { run.push_back(x[from]); });
    y[i] = fold(run);
  });
  return y;
}

/// The largest |a - b| / max(1, |b|); infinite where shapes differ or one number is NaN or infinite and the other is not.
inline double distance(const Plain& a, const Plain& b) {
  constexpr double infinite = std::numeric_limits<double>::infinity();
  if (a.shape != b.shape) return infinite;
  double worst = 0;
  for (std::size_t i = 0; i < a.numbers.size(); ++i) {
    const double x = a.numbers[i], y = b.numbers[i];
    if (x == y || (std::isnan(x) && std::isnan(y))) continue;
    const double error = std::abs(x - y) / std::max(1.0, std::abs(y));
    if (!(error <= worst)) worst = std::isnan(error) ? infinite : error;
  }
  return worst;
}
inline double distance(const Tensor& a, const Plain& b) { return distance(Plain(a), b); }
inline double distance(const Tensor& a, const Tensor& b) { return distance(Plain(a), Plain(b)); }

}  // namespace ebb::reference
