// The elementwise ops, each whole: its name, its formula and its derivative, as they run on every kind of number
// (float and double, Dual, Scalar, Tensor).
//
//   f(x) or f(a, b)     the value.
//   dx, da, db          the gradient g at the value y, carried back to the operand.  On Tensors these run as ops, so that
//                       they can be differentiated again; so they are written with operators, named functions and
//                       where(), never if.
//   keep                which of operands and value backward reads (see op.h).
//   composed            true: dx is a single cheap op or none, and runs as it stands; false: it runs in one pass.
//   integers            true: i64 tensors give i64; false: they are made f32 first.
//   formula, rule       the same for people: what pictures print.
#pragma once

#include "number.h"
#include "keep.h"

namespace ebb {

class Tensor;
class Scalar;
Tensor zeros_like(const Tensor& x);
Scalar zeros_like(const Scalar& x);
template <class T> constexpr Num<T> zeros_like(Num<T>) { return Num<T>(0); }

namespace formula {

using detail::Keep;

struct Unary {
  static constexpr int arity = 1;
  static constexpr bool composed = false, integers = false, gates = false;
};
struct Binary {
  static constexpr int arity = 2;
  static constexpr bool composed = false, integers = false;
};

struct Add : Binary {
  static constexpr char name[] = "add", formula[] = "a + b", rule[] = "∇a = g   ∇b = g";
  static constexpr Keep keep = Keep::nothing;
  static constexpr bool integers = true;
  static constexpr bool composed = true;
  static auto f(const auto& a, const auto& b) { return a + b; }
  static auto da(const auto& g, const auto&, const auto&, const auto&) { return g; }
  static auto db(const auto& g, const auto&, const auto&, const auto&) { return g; }
};

struct Sub : Binary {
  static constexpr char name[] = "sub", formula[] = "a − b", rule[] = "∇a = g   ∇b = −g";
  static constexpr Keep keep = Keep::nothing;
  static constexpr bool integers = true;
  static constexpr bool composed = true;
  static auto f(const auto& a, const auto& b) { return a - b; }
  static auto da(const auto& g, const auto&, const auto&, const auto&) { return g; }
  static auto db(const auto& g, const auto&, const auto&, const auto&) { return -g; }
};

struct Mul : Binary {
  static constexpr char name[] = "mul", formula[] = "a · b", rule[] = "∇a = g·b   ∇b = g·a";
  static constexpr Keep keep = Keep::inputs;
  static constexpr bool integers = true;
  static auto f(const auto& a, const auto& b) { return a * b; }
  static auto da(const auto& g, const auto&, const auto& b, const auto&) { return g * b; }
  static auto db(const auto& g, const auto& a, const auto&, const auto&) { return g * a; }
};

struct Div : Binary {
  static constexpr char name[] = "div", formula[] = "a / b", rule[] = "∇a = g/b   ∇b = −g·y/b";
  static constexpr Keep keep = Keep::second | Keep::output;
  static auto f(const auto& a, const auto& b) { return a / b; }
  static auto da(const auto& g, const auto&, const auto& b, const auto&) { return g / b; }
  static auto db(const auto& g, const auto&, const auto& b, const auto& y) { return -(g * y / b); }
};

struct Pow : Binary {
  static constexpr char name[] = "pow", formula[] = "aᵇ", rule[] = "∇a = g·b·aᵇ⁻¹   ∇b = g·y·log a";
  static constexpr Keep keep = Keep::inputs | Keep::output;
  static auto f(const auto& a, const auto& b) { return pow(a, b); }
  static auto da(const auto& g, const auto& a, const auto& b, const auto&) {
    return where((a == 0.0) && (b == 0.0), zeros_like(g), g * b * pow(a, b - 1.0));
  }
  static auto db(const auto& g, const auto& a, const auto&, const auto& y) {
    return where(a > 0.0, g * y * log(a), zeros_like(g));
  }
};

// Where a is 0 and b has no logarithm there is nothing to pass on; where b has one, the gradients are those of a · log b.
struct XLogY : Binary {
  static constexpr char name[] = "xlogy", formula[] = "a · log b", rule[] = "∇a = g·log b   ∇b = g·a/b";
  static constexpr Keep keep = Keep::inputs;
  static auto f(const auto& a, const auto& b) { return where(a == 0.0, zeros_like(a * b), a * log(b)); }
  static auto da(const auto& g, const auto& a, const auto& b, const auto&) {
    const auto nothing = (a == 0.0) && !(b > 0.0);
    return where(nothing, zeros_like(g), g * log(b));
  }
  static auto db(const auto& g, const auto& a, const auto& b, const auto&) {
    const auto nothing = (a == 0.0) && !(b > 0.0);
    return where(nothing, zeros_like(g), g * a / b);
  }
};

struct Maximum : Binary {
  static constexpr char name[] = "maximum", formula[] = "max(a, b)",
                        rule[] = "∇a = g ⊙ ([a>b] + ½[a=b])   ∇b = g ⊙ ([b>a] + ½[b=a])";
  static constexpr Keep keep = Keep::inputs;
  static constexpr bool integers = true;
  static auto f(const auto& a, const auto& b) { return where(a != a, a, where(a > b, a, b)); }
  static auto da(const auto& g, const auto& a, const auto& b, const auto&) {
    return where(a > b, g, where(a == b, g * 0.5, zeros_like(g)));
  }
  static auto db(const auto& g, const auto& a, const auto& b, const auto&) {
    return where(b > a, g, where(a == b, g * 0.5, zeros_like(g)));
  }
};

struct Minimum : Binary {
  static constexpr char name[] = "minimum", formula[] = "min(a, b)",
                        rule[] = "∇a = g ⊙ ([a<b] + ½[a=b])   ∇b = g ⊙ ([b<a] + ½[b=a])";
  static constexpr Keep keep = Keep::inputs;
  static constexpr bool integers = true;
  static auto f(const auto& a, const auto& b) { return where(a != a, a, where(a < b, a, b)); }
  static auto da(const auto& g, const auto& a, const auto& b, const auto&) {
    return where(a < b, g, where(a == b, g * 0.5, zeros_like(g)));
  }
  static auto db(const auto& g, const auto& a, const auto& b, const auto&) {
    return where(b < a, g, where(a == b, g * 0.5, zeros_like(g)));
  }
};

struct Neg : Unary {
  static constexpr char name[] = "neg", formula[] = "−x", rule[] = "∇x = −g";
  static constexpr Keep keep = Keep::nothing;
  static constexpr bool integers = true;
  static constexpr bool composed = true;
  static auto f(const auto& x) { return -x; }
  static auto dx(const auto& g, const auto&, const auto&) { return -g; }
};

struct Sign : Unary {
  static constexpr char name[] = "sign", formula[] = "sign(x)", rule[] = "∇x = 0";
  static constexpr Keep keep = Keep::nothing;
  static constexpr bool integers = true;
  static constexpr bool composed = true;
  static auto f(const auto& x) { return where(x > 0.0, 1.0 + zeros_like(x), where(x < 0.0, zeros_like(x) - 1.0, x)); }
  static auto dx(const auto& g, const auto&, const auto&) { return zeros_like(g); }
};

struct Abs : Unary {
  static constexpr char name[] = "abs", formula[] = "|x|", rule[] = "∇x = g·sign(x)";
  static constexpr Keep keep = Keep::inputs;
  static constexpr bool integers = true;
  static auto f(const auto& x) { return abs(x); }
  static auto dx(const auto& g, const auto& x, const auto&) {
    return where(x > 0.0, g, where(x < 0.0, -g, zeros_like(g)));
  }
};

struct Exp : Unary {
  static constexpr char name[] = "exp", formula[] = "eˣ", rule[] = "∇x = g·y";
  static constexpr Keep keep = Keep::output;
  static auto f(const auto& x) { return exp(x); }
  static auto dx(const auto& g, const auto&, const auto& y) { return g * y; }
};

struct Expm1 : Unary {
  static constexpr char name[] = "expm1", formula[] = "eˣ − 1", rule[] = "∇x = g·(y+1)";
  static constexpr Keep keep = Keep::output;
  static auto f(const auto& x) { return expm1(x); }
  static auto dx(const auto& g, const auto&, const auto& y) { return g * (y + 1.0); }
};

struct Log : Unary {
  static constexpr char name[] = "log", formula[] = "log x", rule[] = "∇x = g/x";
  static constexpr Keep keep = Keep::inputs;
  static auto f(const auto& x) { return log(x); }
  static auto dx(const auto& g, const auto& x, const auto&) { return g / x; }
};

struct Log1p : Unary {
  static constexpr char name[] = "log1p", formula[] = "log(1 + x)", rule[] = "∇x = g/(1+x)";
  static constexpr Keep keep = Keep::inputs;
  static auto f(const auto& x) { return log1p(x); }
  static auto dx(const auto& g, const auto& x, const auto&) { return g / (1.0 + x); }
};

struct Sqrt : Unary {
  static constexpr char name[] = "sqrt", formula[] = "√x", rule[] = "∇x = g/(2y)";
  static constexpr Keep keep = Keep::output;
  static auto f(const auto& x) { return sqrt(x); }
  static auto dx(const auto& g, const auto&, const auto& y) { return g / (2.0 * y); }
};

struct Rsqrt : Unary {
  static constexpr char name[] = "rsqrt", formula[] = "1/√x", rule[] = "∇x = −½·g·y/x";
  static constexpr Keep keep = Keep::inputs | Keep::output;
  static auto f(const auto& x) { return 1.0 / sqrt(x); }
  static auto dx(const auto& g, const auto& x, const auto& y) { return -0.5 * g * y / x; }
};

struct Square : Unary {
  static constexpr char name[] = "square", formula[] = "x²", rule[] = "∇x = 2g·x";
  static constexpr Keep keep = Keep::inputs;
  static constexpr bool integers = true;
  static auto f(const auto& x) { return x * x; }
  static auto dx(const auto& g, const auto& x, const auto&) { return 2.0 * g * x; }
};

struct Reciprocal : Unary {
  static constexpr char name[] = "reciprocal", formula[] = "1/x", rule[] = "∇x = −g·y²";
  static constexpr Keep keep = Keep::output;
  static auto f(const auto& x) { return 1.0 / x; }
  static auto dx(const auto& g, const auto&, const auto& y) { return -(g * y * y); }
};

struct Sin : Unary {
  static constexpr char name[] = "sin", formula[] = "sin x", rule[] = "∇x = g·cos x";
  static constexpr Keep keep = Keep::inputs;
  static auto f(const auto& x) { return sin(x); }
  static auto dx(const auto& g, const auto& x, const auto&) { return g * cos(x); }
};

struct Cos : Unary {
  static constexpr char name[] = "cos", formula[] = "cos x", rule[] = "∇x = −g·sin x";
  static constexpr Keep keep = Keep::inputs;
  static auto f(const auto& x) { return cos(x); }
  static auto dx(const auto& g, const auto& x, const auto&) { return -(g * sin(x)); }
};

struct Tan : Unary {
  static constexpr char name[] = "tan", formula[] = "tan x", rule[] = "∇x = g·(1+y²)";
  static constexpr Keep keep = Keep::output;
  static auto f(const auto& x) { return tan(x); }
  static auto dx(const auto& g, const auto&, const auto& y) { return g * (1.0 + y * y); }
};

struct Asin : Unary {
  static constexpr char name[] = "asin", formula[] = "asin x", rule[] = "∇x = g/√(1−x²)";
  static constexpr Keep keep = Keep::inputs;
  static auto f(const auto& x) { return asin(x); }
  static auto dx(const auto& g, const auto& x, const auto&) { return g / sqrt((1.0 - x) * (1.0 + x)); }
};

struct Acos : Unary {
  static constexpr char name[] = "acos", formula[] = "acos x", rule[] = "∇x = −g/√(1−x²)";
  static constexpr Keep keep = Keep::inputs;
  static auto f(const auto& x) { return acos(x); }
  static auto dx(const auto& g, const auto& x, const auto&) { return -(g / sqrt((1.0 - x) * (1.0 + x))); }
};

struct Atan : Unary {
  static constexpr char name[] = "atan", formula[] = "atan x", rule[] = "∇x = g/(1+x²)";
  static constexpr Keep keep = Keep::inputs;
  static auto f(const auto& x) { return atan(x); }
  static auto dx(const auto& g, const auto& x, const auto&) { return g / (1.0 + x * x); }
};

struct Sinh : Unary {
  static constexpr char name[] = "sinh", formula[] = "sinh x", rule[] = "∇x = g·cosh x";
  static constexpr Keep keep = Keep::inputs;
  static auto f(const auto& x) { return sinh(x); }
  static auto dx(const auto& g, const auto& x, const auto&) { return g * cosh(x); }
};

struct Cosh : Unary {
  static constexpr char name[] = "cosh", formula[] = "cosh x", rule[] = "∇x = g·sinh x";
  static constexpr Keep keep = Keep::inputs;
  static auto f(const auto& x) { return cosh(x); }
  static auto dx(const auto& g, const auto& x, const auto&) { return g * sinh(x); }
};

struct Tanh : Unary {
  static constexpr char name[] = "tanh", formula[] = "tanh x", rule[] = "∇x = g ⊙ (1−y²)";
  static constexpr Keep keep = Keep::output;
  static auto f(const auto& x) { return tanh(x); }
  static auto dx(const auto& g, const auto&, const auto& y) { return g * (1.0 - y * y); }
};

struct Erf : Unary {
  static constexpr char name[] = "erf", formula[] = "erf x", rule[] = "∇x = g·2/√π·e^−x²";
  static constexpr Keep keep = Keep::inputs;
  static auto f(const auto& x) { return erf(x); }
  static auto dx(const auto& g, const auto& x, const auto&) { return g * 1.1283791670955126 * exp(-(x * x)); }
};

// The two branches meet at 0 with one value, so each side is written where its exponential cannot overflow.
// It keeps its input as well, for losses that read the logits behind a probability (input_of).
struct Sigmoid : Unary {
  static constexpr char name[] = "sigmoid", formula[] = "σ(x)", rule[] = "∇x = g ⊙ y(1−y)";
  static constexpr Keep keep = Keep::inputs | Keep::output;
  static auto f(const auto& x) {
    const auto e = exp(-abs(x));
    return where(x < 0.0, e, zeros_like(e) + 1.0) / (1.0 + e);
  }
  static auto dx(const auto& g, const auto&, const auto& y) { return g * y * (1.0 - y); }
};

struct Relu : Unary {
  static constexpr char name[] = "relu", formula[] = "max(0, x)", rule[] = "∇x = g ⊙ [x>0]";
  static constexpr Keep keep = Keep::output;
  static constexpr bool integers = true, gates = true;
  static auto f(const auto& x) { return where(x <= 0.0, zeros_like(x), x); }
  static auto dx(const auto& g, const auto&, const auto& y) { return where(y > 0.0, g, zeros_like(g)); }
};

struct LeakyRelu : Unary {
  static constexpr char name[] = "leaky_relu", formula[] = "max(0.01x, x)", rule[] = "∇x = g ⊙ ([x>0] + 0.01[x≤0])";
  static constexpr Keep keep = Keep::inputs;
  static auto f(const auto& x) { return where(x > 0.0, x, 0.01 * x); }
  static auto dx(const auto& g, const auto& x, const auto&) { return where(x > 0.0, g, 0.01 * g); }
};

struct Elu : Unary {
  static constexpr char name[] = "elu", formula[] = "x>0: x, else eˣ − 1", rule[] = "∇x = g ⊙ ([x>0] + eˣ[x≤0])";
  static constexpr Keep keep = Keep::inputs;
  static auto f(const auto& x) { return where(x > 0.0, x, expm1(where(x > 0.0, zeros_like(x), x))); }
  static auto dx(const auto& g, const auto& x, const auto&) {
    return where(x > 0.0, g, g * exp(x));
  }
};

struct Gelu : Unary {
  static constexpr char name[] = "gelu", formula[] = "x·Φ(x)", rule[] = "∇x = g·(Φ(x) + x·φ(x))";
  static constexpr Keep keep = Keep::inputs;
  static auto f(const auto& x) { return 0.5 * x * (1.0 + erf(x * 0.7071067811865476)); }
  static auto dx(const auto& g, const auto& x, const auto&) {
    return g * (0.5 * (1.0 + erf(x * 0.7071067811865476)) + x * 0.3989422804014327 * exp(-0.5 * (x * x)));
  }
};

struct Silu : Unary {
  static constexpr char name[] = "silu", formula[] = "x·σ(x)", rule[] = "∇x = g·σ(x)·(1 + x·σ(−x))";
  static constexpr Keep keep = Keep::inputs;
  static auto f(const auto& x) { return x * sigmoid(x); }
  static auto dx(const auto& g, const auto& x, const auto&) { return g * sigmoid(x) * (1.0 + x * sigmoid(-x)); }
};

struct Softplus : Unary {
  static constexpr char name[] = "softplus", formula[] = "log(1 + eˣ)", rule[] = "∇x = g·σ(x)";
  static constexpr Keep keep = Keep::inputs;
  static auto f(const auto& x) { return where(x > 0.0, x, zeros_like(x)) + log1p(exp(-abs(x))); }
  static auto dx(const auto& g, const auto& x, const auto&) { return g * sigmoid(x); }
};

struct Mish : Unary {
  static constexpr char name[] = "mish", formula[] = "x·t, t = tanh(softplus x)", rule[] = "∇x = g·(t + x·σ(x)·(1−t²))";
  static constexpr Keep keep = Keep::inputs;
  static auto f(const auto& x) { return x * tanh(softplus(x)); }
  static auto dx(const auto& g, const auto& x, const auto&) {
    const auto t = tanh(softplus(x));
    return g * (t + x * sigmoid(x) * (1.0 - t * t));
  }
};

struct Hardtanh : Unary {
  static constexpr char name[] = "hardtanh", formula[] = "x in [−1, 1]", rule[] = "∇x = g ⊙ [|x|≤1]";
  static constexpr Keep keep = Keep::inputs;
  static auto f(const auto& x) {
    return where(x > 1.0, zeros_like(x) + 1.0, where(x < -1.0, zeros_like(x) - 1.0, x));
  }
  static auto dx(const auto& g, const auto& x, const auto&) { return where(abs(x) <= 1.0, g, zeros_like(g)); }
};

}  // namespace formula
}  // namespace ebb
