// One step of a recurrent cell in one pass.
//
// Each of `rows` rows has `hidden` numbers, and its gates lie side by side, `hidden` numbers each, in the order that the
// enums here give, as in PyTorch.  This is the only place that knows that order.
#pragma once

#include <cstdint>

namespace ebb::kernels {

namespace lstm {
enum Gate { input, forget, candidate, output, gates };
}
namespace gru {
enum Gate { reset, update, candidate, gates };
}

/// h and c_next out of gates [rows, 4·hidden] and c.  `active`, unless it is nullptr, takes what the gradients read:
/// [rows, 5·hidden], the gates after their functions and then tanh(c_next).
template <class T>
void lstm_cell(T* h, T* c_next, T* active, const T* gates, const T* c, std::int64_t rows, std::int64_t hidden);
/// dgates [rows, 4·hidden] out of what came to h and to c_next.
template <class T> void lstm_cell_dgates(T* dgates, const T* dh, const T* dc_next, const T* active, const T* c,
                                         std::int64_t rows, std::int64_t hidden);
/// dc [rows, hidden] out of the same.
template <class T>
void lstm_cell_dc(T* dc, const T* dh, const T* dc_next, const T* active, std::int64_t rows, std::int64_t hidden);

/// h_next out of gates from the input and from the state, [rows, 3·hidden] each, and h.  `active`, unless it is nullptr,
/// takes the gates after their functions.
template <class T> void gru_cell(T* h_next, T* active, const T* from_input, const T* from_state, const T* h,
                                 std::int64_t rows, std::int64_t hidden);
/// The gradient by the gates from the input, or by those from the state, whose candidate passes through the reset gate.
template <class T> void gru_cell_dgates(T* dgates, bool by_state, const T* dy, const T* active, const T* from_state,
                                        const T* h, std::int64_t rows, std::int64_t hidden);
/// dh [rows, hidden], of the way past the gates.
template <class T> void gru_cell_dh(T* dh, const T* dy, const T* active, std::int64_t rows, std::int64_t hidden);

}  // namespace ebb::kernels
