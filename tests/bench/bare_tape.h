// The least that a tape can do: it writes two operand ids and two partials for each operation, and goes back over them.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace bench {

/// One list for the program, with as many places as `reserve` was told; id 0 takes what flows to constants.
struct BareTape {
  struct Entry {
    std::uint32_t a, b;
    double da, db;
  };
  std::vector<Entry> entry;
  std::vector<double> adjoint;
  std::uint32_t size = 1;

  void reserve(std::size_t operations) {
    entry.resize(operations + 1);
    adjoint.resize(operations + 1);
  }
  std::uint32_t write(std::uint32_t a, double da, std::uint32_t b, double db) {
    entry[size] = {a, b, da, db};
    return size++;
  }
  void sweep(std::uint32_t from) {
    std::fill_n(adjoint.begin(), size, 0.0);
    adjoint[from] = 1;
    for (std::uint32_t id = from; id > 0; --id) {
      const double g = adjoint[id];
      if (g == 0) continue;
      const Entry& e = entry[id];
      adjoint[e.a] += g * e.da;
      adjoint[e.b] += g * e.db;
    }
  }
};
inline BareTape bare;

struct Bare {
  double v = 0;
  std::uint32_t id = 0;

  Bare() = default;
  Bare(double value) : v(value) {}
  Bare(double value, std::uint32_t a, double da, std::uint32_t b = 0, double db = 0)
      : v(value), id(bare.write(a, da, b, db)) {}
  static Bare variable(double value) { return {value, 0, 0}; }
};

inline Bare operator+(Bare a, Bare b) { return {a.v + b.v, a.id, 1, b.id, 1}; }
inline Bare operator-(Bare a, Bare b) { return {a.v - b.v, a.id, 1, b.id, -1}; }
inline Bare operator*(Bare a, Bare b) { return {a.v * b.v, a.id, b.v, b.id, a.v}; }
inline Bare tanh(Bare x) {
  const double y = std::tanh(x.v);
  return {y, x.id, 1 - y * y};
}
inline Bare exp(Bare x) {
  const double y = std::exp(x.v);
  return {y, x.id, y};
}
inline Bare sin(Bare x) { return {std::sin(x.v), x.id, std::cos(x.v)}; }

}  // namespace bench
