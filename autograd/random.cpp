#include "random.h"

#include "error.h"
#include "launch.h"
#include "op.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace ebb {

using namespace detail;

namespace {

thread_local Generator default_one;

// The natural logarithm of x in (0, 1) out of + - * / alone, so that every machine gives the same bits: the system's
// log() differs from one C library to the next.
double portable_log(double x) {
  int exponent = 0;
  double m = std::frexp(x, &exponent);  // x = m · 2^exponent, m in [0.5, 1)
  if (m < 0.70710678118654752) {
    m *= 2;
    --exponent;
  }
  const double t = (m - 1) / (m + 1), t2 = t * t;  // log m = 2·atanh(t), |t| < 0.172
  double series = 0;
  for (int k = 21; k >= 1; k -= 2) series = series * t2 + 1.0 / k;
  return 2 * t * series + exponent * 0.69314718055994531;
}

// The number below which a standard normal falls with probability p in (0, 1).
// Source: Wichura 1988, "The percentage points of the normal distribution", algorithm AS 241 (PPND16).
double normal_at(double p) {
  const auto ratio = [](const std::array<double, 8>& top, const std::array<double, 8>& bottom, double r) {
    double a = 0, b = 0;
    for (std::size_t i = 8; i-- > 0;) {
      a = a * r + top[i];
      b = b * r + bottom[i];
    }
    return a / b;
  };
  const double q = p - 0.5;
  if (std::abs(q) <= 0.425) {
    return q *
           ratio({3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
                  4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3},
                 {1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
                  2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3},
                 0.180625 - q * q);
  }
  const double r = std::sqrt(-portable_log(q < 0 ? p : 1 - p));
  const double x = r <= 5 ? ratio({1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
                                   3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1,
                                   2.27238449892691845833e-2, 7.74545014278341407640e-4},
                                  {1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
                                   1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
                                   1.05075007164441684324e-9},
                                  r - 1.6)
                          : ratio({6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0,
                                   2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                   2.71155556874348757815e-5, 2.01033439929228813265e-7},
                                  {1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
                                   7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
                                   2.04426310338993978564e-15},
                                  r - 5);
  return q < 0 ? -x : x;
}

// Of another generator nobody knows how long it lives, nor whether it is another at each call.
void must_be_default(const Generator& generator) {
  if (&generator != &default_one) cannot_replay("draws from a Generator that is not the thread's default one");
}

template <class Draw> Tensor drawn(const Shape& shape, DType dtype, const char* name, Generator& generator, Draw draw) {
  if (dtype == i64)
    throw DTypeError(fmt::format("{}({}, i64): the numbers are not whole\n  help: randint()", name, to_string(shape)));
  Tensor t = empty(shape, dtype);
  dispatch_floating(dtype, [&]<class T>(T) {
    const auto fill = [draw](T* to, std::int64_t n, Generator* from) {
      for (std::int64_t i = 0; i < n; ++i) to[i] = static_cast<T>(draw(*from));
    };
    must_be_default(generator);
    launch(fill, write<T>(t), shape.size(), &generator);
  });
  return t;
}

}  // namespace

std::uint64_t Generator::bits_at(std::uint64_t seed, std::uint64_t p) {
  std::array<std::uint32_t, 4> c = {static_cast<std::uint32_t>(p), static_cast<std::uint32_t>(p >> 32), 0, 0};
  std::array<std::uint32_t, 2> key = {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53u} * c[0], b = std::uint64_t{0xCD9E8D57u} * c[2];
    c = {static_cast<std::uint32_t>(b >> 32) ^ c[1] ^ key[0], static_cast<std::uint32_t>(b),
         static_cast<std::uint32_t>(a >> 32) ^ c[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return std::uint64_t{c[1]} << 32 | c[0];
}

std::uint64_t Generator::bits() { return bits_at(seed_, position_++); }

double Generator::uniform() {
  // 53 bits, and half a step, so that neither 0 nor 1 can come; nor in f32, where 1 - 2^-54 would round to 1.
  const double u = (static_cast<double>(bits() >> 11) + 0.5) * 0x1p-53;
  return u < 0x1.fffffep-1 ? u : 0x1.fffffep-1;
}

double Generator::normal() { return normal_at(uniform()); }

std::int64_t Generator::below(std::int64_t n) {
  if (n <= 0) throw UsageError(fmt::format("Generator::below({}): there is no number in [0, {})", n, n));
  const auto range = static_cast<std::uint64_t>(n);
  const std::uint64_t unbiased = -range % range;  // the first 2^64 mod n values would come once too often
  std::uint64_t b = bits();
  while (b < unbiased) b = bits();
  return static_cast<std::int64_t>(b % range);
}

void seed(std::uint64_t seed) {
  launch([](Generator* g, std::uint64_t with) { *g = Generator(with); }, &default_one, seed);
}
Generator& default_generator() {
  cannot_replay("asks for the default generator");
  return default_one;
}

Tensor rand(const Shape& shape, DType dtype, Generator& generator) {
  return drawn(shape, dtype, "rand", generator, [](Generator& from) { return from.uniform(); });
}
Tensor randn(const Shape& shape, DType dtype, Generator& generator) {
  return drawn(shape, dtype, "randn", generator, [](Generator& from) { return from.normal(); });
}
Tensor randint(std::int64_t low, std::int64_t high, const Shape& shape, Generator& generator) {
  std::int64_t range = 0;
  if (low >= high || __builtin_sub_overflow(high, low, &range))
    throw UsageError(fmt::format("randint({}, {}): the range must hold a number and be countable", low, high));
  Tensor t = empty(shape, i64);
  const auto fill = [](std::int64_t* to, std::int64_t n, std::int64_t first, std::int64_t count, Generator* from) {
    for (std::int64_t i = 0; i < n; ++i) to[i] = first + from->below(count);
  };
  must_be_default(generator);
  launch(fill, write<std::int64_t>(t), shape.size(), low, range, &generator);
  return t;
}
Tensor randperm(std::int64_t n, Generator& generator) {
  if (n < 0) throw ShapeError(fmt::format("randperm(): the number of elements must not be negative, got {}", n));
  Tensor t = empty({n}, i64);
  const auto shuffle = [](std::int64_t* order, std::int64_t count, Generator* from) {
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t j = from->below(i + 1);
      order[i] = order[j];
      order[j] = i;
    }
  };
  must_be_default(generator);
  launch(shuffle, write<std::int64_t>(t), n, &generator);
  return t;
}

Tensor rand(const Shape& shape, DType dtype) { return rand(shape, dtype, default_one); }
Tensor randn(const Shape& shape, DType dtype) { return randn(shape, dtype, default_one); }
Tensor randint(std::int64_t low, std::int64_t high, const Shape& shape) {
  return randint(low, high, shape, default_one);
}
Tensor randperm(std::int64_t n) { return randperm(n, default_one); }

}  // namespace ebb
