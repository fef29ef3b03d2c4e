// Convolutions without columns, for kernels and strides of ordinary size.
#pragma once

#include "conv.h"

namespace ebb::kernels::direct {

/// Whether these functions can do it and are the faster ones; `back`: conv_transpose.
bool suits(const Convolution& c, bool back);

// As those in conv.h.
std::int64_t scratch_for(const Convolution& c, bool back);
std::int64_t scratch_for_weight(const Convolution& c);
template <class T> void conv(const Convolution& c, T* y, const T* x, const T* weight, const T* bias, T* scratch);
template <class T>
void conv_transpose(const Convolution& c, T* x, const T* y, const T* weight, const T* bias, T* scratch);
template <class T> void conv_weight(const Convolution& c, T* weight, const T* x, const T* y, T* scratch, T* bias);
bool sums_with_weight(const Convolution& c);

}  // namespace ebb::kernels::direct
