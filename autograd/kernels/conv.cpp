// Which of two ways a convolution goes: see conv_direct.h and conv_columns.h.
#include "conv.h"

#include "conv_columns.h"
#include "conv_direct.h"

namespace ebb::kernels {

std::int64_t scratch_for(const Convolution& c) {
  return direct::suits(c, false) ? direct::scratch_for(c, false) : columns::scratch_for(c);
}
std::int64_t scratch_for_transpose(const Convolution& c) {
  return direct::suits(c, true) ? direct::scratch_for(c, true) : columns::scratch_for(c);
}
std::int64_t scratch_for_weight(const Convolution& c) {
  return direct::suits(c, false) ? direct::scratch_for_weight(c) : columns::scratch_for_weight(c);
}

template <class T> void conv(const Convolution& c, T* y, const T* x, const T* weight, const T* bias, T* scratch) {
  return (direct::suits(c, false) ? direct::conv<T> : columns::conv<T>)(c, y, x, weight, bias, scratch);
}

template <class T>
void conv_transpose(const Convolution& c, T* x, const T* y, const T* weight, const T* bias, T* scratch) {
  return (direct::suits(c, true) ? direct::conv_transpose<T> : columns::conv_transpose<T>)(c, x, y, weight, bias,
                                                                                           scratch);
}

template <class T> void conv_weight(const Convolution& c, T* weight, const T* x, const T* y, T* scratch, T* bias) {
  if (direct::suits(c, false)) direct::conv_weight(c, weight, x, y, scratch, bias);
  else columns::conv_weight(c, weight, x, y, scratch);
}
bool sums_with_weight(const Convolution& c) { return direct::suits(c, false) && direct::sums_with_weight(c); }

#define EBB_FOR(T)                                                                        \
  template void conv(const Convolution&, T*, const T*, const T*, const T*, T*);           \
  template void conv_transpose(const Convolution&, T*, const T*, const T*, const T*, T*); \
  template void conv_weight(const Convolution&, T*, const T*, const T*, T*, T*);
EBB_FOR(float)
EBB_FOR(double)
#undef EBB_FOR

}  // namespace ebb::kernels
