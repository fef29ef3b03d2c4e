// Convolutions of any kind, as products of matrices.
#pragma once

#include "conv.h"

namespace ebb::kernels::columns {

/// Whether an image, as it lies, is the columns that its windows read, and worth a product of its own.
bool is_matrix(const Convolution& c);

// As those in conv.h; scratch_for serves conv and conv_transpose.
std::int64_t scratch_for(const Convolution& c);
std::int64_t scratch_for_weight(const Convolution& c);
template <class T> void conv(const Convolution& c, T* y, const T* x, const T* weight, const T* bias, T* scratch);
template <class T>
void conv_transpose(const Convolution& c, T* x, const T* y, const T* weight, const T* bias, T* scratch);
template <class T> void conv_weight(const Convolution& c, T* weight, const T* x, const T* y, T* scratch);

}  // namespace ebb::kernels::columns
