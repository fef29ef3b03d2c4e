// The three types of numbers that a tensor can hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string_view>

namespace ebb {

/// The type of a tensor's numbers: float, double or 64-bit integer.
enum class DType : std::uint8_t { f32, f64, i64 };

inline constexpr DType f32 = DType::f32, f64 = DType::f64, i64 = DType::i64;

/// "f32", "f64" or "i64".
constexpr std::string_view to_string(DType d) { return d == f32 ? "f32" : d == f64 ? "f64" : "i64"; }
std::ostream& operator<<(std::ostream& out, DType d);

/// Bytes of one number.
constexpr std::size_t size_of(DType d) { return d == f32 ? 4 : 8; }

constexpr bool is_floating(DType d) { return d != i64; }

/// The type that both promote to, as in NumPy: i64 < f32 < f64.
constexpr DType promote(DType a, DType b) {
  if (a == f64 || b == f64) return f64;
  return a == f32 || b == f32 ? f32 : i64;
}

namespace detail {
template <class T> struct DTypeOf;
template <> struct DTypeOf<float> { static constexpr DType value = f32; };
template <> struct DTypeOf<double> { static constexpr DType value = f64; };
template <> struct DTypeOf<std::int64_t> { static constexpr DType value = i64; };
}  // namespace detail

/// The DType of float, double or std::int64_t.
template <class T> inline constexpr DType dtype_of = detail::DTypeOf<T>::value;

}  // namespace ebb
