"""Plants faults into backward rules, one at a time, and says which ones no test notices.

mutants.py [filter] [--jobs 2] [--list] [--folder build-mutants]

A fault is another expression in the place of one in a rule.  A copy of the sources holds all of them at once, each behind
a number that the environment variable EBB_MUTANT chooses, so the copy is compiled once and each fault costs one run of
the tests, up to the first that fails.  Most faults come from OPERATORS, applied to whatever the gradient functions of
autograd/formulas.h and autograd/ops/ return; a new op is covered without a new line here.  BY_HAND lists the others.
The last line is "N faults, N killed"; the exit code is 0 if that is all of them.
"""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# The tests that differentiate, those first to which most faults fall.
TESTS = ["programs", "laws", "ops", "elementwise", "scalar", "graph", "functional", "conv", "safety", "tensor",
         "deep"]
QUICK = {"EBB_PROGRAMS": "2000"}

# (file, text, what stands there instead, what is wrong with it).  The text must occur once; ("text", 2) means its second
# place.  With a semicolon at its end it is a statement, else an expression.
BY_HAND = [
    # Backward: what arrives is added up, once, where it belongs.
    ("autograd/sweep.cpp", "to[i] += from[i]", "to[i] = from[i]", "a tensor's second gradient takes the first one's place"),
    ("autograd/sweep.cpp", "sum = sum + gradient;", "sum = gradient;", "the same while observing"),
    ("autograd/sweep.cpp", "next += g * e.da", "next = g * e.da", "the same from the next scalar op"),
    ("autograd/sweep.cpp", "next += g * e.db", "next = g * e.db", "the same by its second operand"),
    ("autograd/sweep.cpp", "adjoint[e.a] += g * e.da", "adjoint[e.a] = g * e.da", "the same from a later scalar op"),
    ("autograd/sweep.cpp", "adjoint[e.b] += g * e.db", "adjoint[e.b] = g * e.db", "the same by its second operand"),
    ("autograd/sweep.cpp", "adjoint[e.b] += g * e.db", "adjoint[e.b] += g * e.da", "the first operand's partial for the second"),
    ("autograd/sweep.cpp", "g != 0", "true", "nothing times infinity in the scalar lane"),
    ("autograd/sweep.cpp", "to[static_cast<std::int64_t>(list.entry[read].da)] += static_cast<T>(list.adjoint[read])",
     "to[static_cast<std::int64_t>(list.entry[read].da)] = static_cast<T>(list.adjoint[read])",
     "an element read twice keeps one gradient"),
    ("autograd/sweep.cpp", "to[static_cast<std::int64_t>(list.entry[read].da)] += static_cast<T>(list.adjoint[read])",
     "to[std::max<std::int64_t>(static_cast<std::int64_t>(list.entry[read].da) - 1, 0)] += static_cast<T>(list.adjoint[read])",
     "an element's place off by one"),
    ("autograd/sweep.cpp", "read > last || list.adjoint[read] == 0", "list.adjoint[read] == 0",
     "reads later than the loss count too"),
    # What is computed again in backward.
    ("autograd/sweep.cpp", "receive(list.tensor(from), dy, true);", "receive(list.tensor(from), dy * 2, true);",
     "a checkpoint starts with twice its gradient"),
    ("autograd/sweep.cpp", "std::memset(list.adjoint + above.floor + 1, 0, (from - above.floor) * sizeof(double));", ";",
     "a checkpoint starts with old scalar gradients"),
    ("autograd/sweep.cpp", """static_cast<T*>(writable(gradient))[static_cast<std::int64_t>(list.entry[id].da)] +=
              static_cast<T>(list.adjoint[id])""",
     "static_cast<T*>(writable(gradient))[static_cast<std::int64_t>(list.entry[id].da)] = static_cast<T>(list.adjoint[id])",
     "an element that a checkpoint reads keeps one gradient"),
    ("autograd/sweep.cpp", "list.adjoint[node.input[i]] += static_cast<double>(g[i])",
     "list.adjoint[node.input[i]] = static_cast<double>(g[i])", "stack's gradient takes another's place"),
    ("autograd/sweep.cpp", "list.adjoint[node.input[i]] += static_cast<double>(g[i])",
     "list.adjoint[node.input[i]] += static_cast<double>(g[0])", "stack gives every part the first one's gradient"),
    ("autograd/sweep.cpp", "receive(input, std::move(dx), list.observing);",
     "if (i != 1) receive(input, std::move(dx), list.observing);", "the second operand's contribution is skipped"),
    ("autograd/sweep.cpp", "parameters[node.parameter - 1]->add_gradient(share(node.gradient));",
     "parameters[node.parameter - 1]->add_gradient(share(node.gradient) * 2);", "a parameter gets its gradient twice"),
    ("autograd/parameter.cpp", "grad.defined() ? grad + gradient : gradient", "gradient",
     "a parameter's second gradient takes the first one's place"),
    ("autograd/sweep.cpp", "adjoint[from] = 1", "adjoint[from] = 2", "a scalar loss starts with 2"),
    ("autograd/sweep.cpp", "seed.defined() ? seed : ones(tensor(from).shape, tensor(from).dtype)",
     "full(tensor(from).shape, 2, tensor(from).dtype)", "a tensor loss starts with 2"),
    ("autograd/sweep.cpp", "std::memset(adjoint, 0, (std::size_t{from} + 1) * sizeof(double));", ";",
     "scalar gradients of the last backward stay"),
    ("autograd/sweep.cpp", "if (node.gradient != nullptr) Access::tensor(std::exchange(node.gradient, nullptr));", ";",
     "tensor gradients of the last backward stay"),
    # Gradients that are recorded.
    ("autograd/recorded.cpp", "sum ? *sum + g : g", "g", "a recorded gradient takes another's place"),
    ("autograd/recorded.cpp", "sum.defined() ? sum + g : g", "g", "a recorded tensor gradient takes another's place"),
    ("autograd/recorded.cpp", "static_cast<std::int64_t>(entry[id].da)", "std::int64_t{0}",
     "every element's recorded gradient goes to the first"),
    ("autograd/recorded.cpp", "give(node.input[i], flat(i));", "give(node.input[i], flat(0));",
     "stack's parts all get the first one's recorded gradient"),
    ("autograd/recorded.cpp", "none ? Scalar(0) : dx[i]", "dx[0]", "the first operand's recorded gradient for all"),
    ("autograd/recorded.cpp", "std::unique(ids.begin(), ids.end())", "ids.end()", "an operand given twice counts twice"),
    ("autograd/recorded.cpp", "none ? Scalar(0) : dx[i]", "dx[i]", "nothing times infinity in recorded gradients"),
    ("autograd/recorded.cpp", "whole.defined() ? whole + arrived[k].second : arrived[k].second", "arrived[k].second",
     "of a parameter's leaves only the last one counts"),
    ("autograd/recorded.cpp", "any || matters(entry[id].a) || matters(entry[id].b)", "any || matters(entry[id].a)",
     "what depends by a second operand is left out"),
    ("autograd/recorded.cpp", "out[same - by.begin()] = dy;", ";", "a formula that is its operand passes no gradient"),
    ("autograd/recorded.cpp", "out[i] = parts[i].first", "out[i] = parts[0].first", "a formula's operands all get the first gradient"),
    ("autograd/recorded.cpp", "scatter_add(zeros({node.shape.size()}, node.dtype), ebb::from(places, {n}), stack(g, node.dtype), 0)",
     "zeros({node.shape.size()}, node.dtype)", "elements send no recorded gradient"),
    # Scalars.
    ("autograd/scalar.h", "F::dx(N(1.0), v, y).v", "F::dx(N(1.0), y, y).v", "a scalar op's partial at its result"),
    ("autograd/scalar.h", "F::da(N(1.0), va, vb, y).v", "F::db(N(1.0), va, vb, y).v", "the other operand's partial"),
    ("autograd/scalar.h", "F::db(N(1.0), va, vb, y).v", "F::db(N(1.0), vb, va, y).v", "operands taken for each other"),
    ("autograd/scalar.h", "F::dx(dy, operand[0], y)", "F::dx(dy, y, y)", "a scalar op's recorded gradient at its result"),
    ("autograd/scalar.h", "F::da(dy, operand[0], operand[1], y)", "F::da(dy, operand[1], operand[0], y)",
     "operands taken for each other in the recorded gradient"),
    ("autograd/scalar.h", "F::db(dy, operand[0], operand[1], y)", "F::db(dy, operand[0], operand[0], y)",
     "the first operand for the second in the recorded gradient"),
    ("autograd/graph.cpp", "a_here ? da : a.value()", "da", "a constant first operand leaves its partial"),
    ("autograd/graph.cpp", "b_here ? db : b.value()", "db", "a constant second operand leaves its partial"),
    ("autograd/graph.cpp", "list->push(code, y, first, 1, second, passes)", "list->push(code, y, first, 1, second, 1)",
     "the third operand's partial is lost"),
    ("autograd/graph.cpp", "list->push(part_code, 0, id[0], d[0], id[1], d[1])",
     "list->push(part_code, 0, id[0], d[1], id[1], d[0])", "partials taken for each other"),
    # Formulas on tensors, and those of the user.
    ("autograd/ops/elementwise.cpp", "g == T(0) ? T(0) : dx.v", "dx.v", "nothing times infinity in the tensor lane"),
    ("autograd/ops/elementwise.cpp", "none.defined() ? where(none, Scalar(0.0), dx) : dx", "dx",
     "nothing times infinity in recorded gradients"),
    ("autograd/ops/elementwise.cpp", "g == T(0) && !std::isfinite(d)", "g == T(0)", "a gradient of 0 is constant"),
    ("autograd/ops/elementwise.cpp", "unless_none(dy, local_rule(dy, a, b, y))", "local_rule(dy, a, b, y)",
     "nothing times infinity in recorded gradients of two"),
    ("autograd/ops/elementwise.cpp", "local_rule(N(g), N(v), N(w), N(u))", "local_rule(N(g), N(w), N(v), N(u))",
     "operands taken for each other"),
    ("autograd/number.h", "d == Num<T>(0) ? Num<T>(0) : p * d", "p * d", "nothing times infinity in a user's formula"),
    ("autograd/number.h", "chain(p, a.d[i]) + chain(q, b.d[i])", "chain(p, a.d[i])", "the second operand's derivative dropped"),
    ("autograd/number.h", "chain(p, a.d[i]) + chain(q, b.d[i])", "chain(p, a.d[i]) - chain(q, b.d[i])", "- for +"),
    ("autograd/number.h", "y.d[i] = chain(p, x.d[i])", "y.d[i] = x.d[i]", "the formula's own derivative dropped"),
    ("autograd/elementwise.h", "x[i].d[0] = Num<T>(1)", "x[0].d[0] = Num<T>(1)", "every operand gets the first one's gradient"),
    # How gradients come back to a smaller operand, and to parts of one.
    ("autograd/ops/reduce.cpp", "axis < extra || (shape[axis - extra] == 1 && x.shape()[axis] != 1)", "axis < extra",
     "axes of size 1 are not summed"),
    ("autograd/ops/reduce.cpp", "axis < extra || (shape[axis - extra] == 1 && x.shape()[axis] != 1)",
     "axis >= extra && shape[axis - extra] == 1", "leading axes are not summed"),
    ("autograd/ops/movement.cpp", "to[i] += from[i]", "to[i] = from[i]", "overlapping slices keep one gradient"),
    ("autograd/ops/movement.cpp", "static_cast<T*>(writable(sum)) + begin * inner", "static_cast<T*>(writable(sum))",
     "a slice's gradient at the beginning"),
    ("autograd/ops/movement.cpp", "to += whole[axis] * inner", "to += line", "a slice's gradient on wrong rows"),
    ("autograd/ops/index.cpp", "write<T>(sum)[to] += read<T>(x)[from]", "write<T>(sum)[to] = read<T>(x)[from]",
     "a place picked twice keeps one gradient"),
    ("autograd/ops/index.cpp", "picked[k] * stride[std::size_t(axis)]", "picked[0] * stride[std::size_t(axis)]",
     "every pick is the first"),
    # Kernels that stand in for rules.
    ("autograd/kernels/loss.cpp", "dz[i] = g * ((z[i] < 0 ? e : T(1)) / (T(1) + e) - y[i])",
     "dz[i] = g * ((z[i] < 0 ? e : T(1)) / (T(1) + e))", "dropped term y"),
    ("autograd/kernels/loss.cpp", "z[i] < 0 ? e : T(1)", "z[i] < 0 ? T(1) : e", "wrong branch"),
    ("autograd/kernels/loss.cpp", "dz[label[r]] -= T(1)", "dz[label[r]] += T(1)", "+ for -"),
    ("autograd/kernels/loss.cpp", "dz[label[r]] -= T(1)", "dz[label[0]] -= T(1)", "every row has the first one's label"),
    ("autograd/kernels/loss.cpp", "dz[k] *= g", "dz[k] *= T(1)", "dropped factor g"),
    ("autograd/kernels/reduce.cpp", "dx[first + k * step] *= after", "dx[first + k * step] *= 1", "dropped factor after"),
    ("autograd/kernels/reduce.cpp", "before *= x[first + k * step]", "before *= T(1)", "dropped factor before"),
    ("autograd/kernels/movement.cpp", "to[i] += x[i]", "to[i] = x[i]", "a row taken twice keeps one gradient"),
    ("autograd/ops/index.cpp", "to[at] += read<T>(dy)[from]", "to[at] = read<T>(dy)[from]",
     "a place gathered twice keeps one gradient"),
    ("autograd/kernels/conv.cpp", "x[to + i * stride] += cols[from + i]", "x[to + i * stride] = cols[from + i]",
     "windows that overlap keep one gradient"),
    ("autograd/kernels/conv.cpp", "gemm(true, false, k, block.count, c.out, weight + g * c.out * k, part, T(0), cols)",
     "gemm(true, false, k, block.count, c.out, weight, part, T(0), cols)", "every group has the first one's weight"),
    ("autograd/kernels/conv.cpp", "gemm(true, false, c.in, windows_of(c), c.out, weight + g * c.out * k, y + at_y, T(1), x + at_x)",
     "gemm(true, false, c.in, windows_of(c), c.out, weight, y + at_y, T(1), x + at_x)",
     "every group has the first one's weight, taps of one"),
    ("autograd/kernels/conv.cpp", "gemm(false, true, c.out, k, block.count, part, cols, T(1), weight + g * c.out * k)",
     "gemm(false, true, c.out, k, block.count, part, cols, T(0), weight + g * c.out * k)",
     "only the last block adds to the weight's gradient"),
    ("autograd/kernels/conv.cpp", "gemm(false, true, c.out, c.in, windows_of(c), y + at_y, x + at_x, T(1), weight + g * c.out * k)",
     "gemm(false, true, c.out, c.in, windows_of(c), y + at_y, x + at_x, T(0), weight + g * c.out * k)",
     "only the last image adds to the weight's gradient"),
    ("autograd/kernels/conv.cpp", "std::max(T(1), share[o])", "T(1)", "ties of a window all get the whole"),
    ("autograd/kernels/conv.cpp", "dx[from + o * stride] += if_chosen(x[from + o * stride] == best[o], share[o])",
     "dx[from + o * stride] = if_chosen(x[from + o * stride] == best[o], share[o])", "windows that overlap keep one gradient"),
    ("autograd/kernels/conv.cpp", "std::max(T(1), ties[o])", "T(1)", "ties of a window are added up"),
    ("autograd/kernels/conv.cpp", "dy[at + o] / static_cast<T>(count(row, o))", "dy[at + o] / static_cast<T>(p.h.size * p.w.size)",
     "padding counts always"),
    ("autograd/kernels/conv.cpp", "dx[to + o * stride] += share[o]", "dx[to + o * stride] = share[o]",
     "windows that overlap keep one gradient of the mean"),
]

# Faults that change nothing that can be seen: (function, what), and why.
EQUIVALENT = {}


# ---- reading C++ as far as needed ------------------------------------------------------------------------------------

OPENING, CLOSING = "([{", ")]}"


def closing(text, at):
    """The place of the bracket that closes the one at `at`."""
    depth = 0
    for i in range(at, len(text)):
        if text[i] in OPENING:
            depth += 1
        elif text[i] in CLOSING:
            depth -= 1
            if depth == 0:
                return i
    raise ValueError(f"no bracket closes {text[at:at + 40]!r}")


def end_of_statement(text, at):
    depth = 0
    for i in range(at, len(text)):
        if text[i] in OPENING:
            depth += 1
        elif text[i] in CLOSING:
            depth -= 1
        elif text[i] == ";" and depth == 0:
            return i
    raise ValueError(f"no semicolon ends {text[at:at + 40]!r}")


def parts(text, begin, end):
    """The places (begin, end) of what commas keep apart."""
    cuts, depth = [begin - 1], 0
    for i in range(begin, end):
        if text[i] in OPENING or re.match(r"\w<\S", text[i - 1:i + 2]):
            depth += 1
        elif text[i] in CLOSING or (text[i] == ">" and text[i - 1] not in " -"):
            depth -= 1
        elif text[i] == "," and depth == 0:
            cuts.append(i)
    return [(a + 1, b) for a, b in zip(cuts, cuts[1:] + [end])]


def without_comments(text):
    """The same with comments blanked out, so that places stay."""
    return re.sub(r"//[^\n]*", lambda m: " " * len(m.group()), text)


RULE = re.compile(r"\b(?:auto|Tensor|void) (?:\w+::)?(d[a-z]|gradient|derivative|add_dx|add_gradient)\(")


VALUE = re.compile(r"\breturn\s+|\bconst (?:Tensor|auto|double|T) \w+ = ")


class Site:
    """An expression that a gradient function returns or gives a name."""

    def __init__(self, path, function, begin, end, names):
        self.path, self.function, self.begin, self.end, self.names = path, function, begin, end, names


def owner_of(text, at):
    """The struct that a place lies in."""
    names = re.findall(r"\bstruct (\w+)[^;{]*\{|\bTensor (\w+)::\w+\(", text[:at])
    return next(filter(None, names[-1])) if names else ""


def sites(path, text):
    for rule in RULE.finditer(text):
        end_of_parameters = closing(text, rule.end() - 1)
        brace = re.compile(r"\s*(?:const)?\s*\{").match(text, end_of_parameters + 1)
        if not brace:
            continue
        parameters = text[rule.end():end_of_parameters]
        names = set(re.findall(r"[&\s](\w+)\s*(?:,|$)", parameters))
        body_end = closing(text, brace.end() - 1)
        function = f"{owner_of(text, rule.start())}::{rule.group(1)}"
        for begin in VALUE.finditer(text, brace.end(), body_end):
            end = end_of_statement(text, begin.end())
            for at, to in parts(text, begin.end(), end):
                at = text.index("=", at) + 1 if begin.group().startswith("const") and at != begin.end() else at
                at += len(text[at:to]) - len(text[at:to].lstrip())
                if text[at] not in "{[":
                    yield Site(path, function, at, to, names)


# ---- what can be wrong -----------------------------------------------------------------------------------------------

def arguments(text, opening):
    """The places (begin, end) of a call's arguments, and of its closing bracket."""
    end = closing(text, opening)
    return parts(text, opening + 1, end), end


def calls(text, names):
    for found in re.finditer(rf"\b({names})\(", text):
        places, end = arguments(text, found.end() - 1)
        yield found.group(1), found.start(), [text[a:b].strip() for a, b in places], end


LOOSER = {" * ": [" + ", " - ", " > ", " < ", " >= ", " <= ", " == ", " && ", " || ", " ? ", " : "]}
LOOSER[" / "] = LOOSER[" * "]
LOOSER[" + "] = LOOSER[" - "] = LOOSER[" * "][2:]
TIGHT = {" * ": [" * ", " / "], " / ": [" * ", " / "], " + ": [" + ", " - "], " - ": [" + ", " - "]}


def operands(text, at, operator):
    """The places of the operands to the left and right of the operator at `at`."""
    stops = LOOSER[operator] + TIGHT[operator]
    depth, right = 0, at + 3
    while right < len(text):
        if text[right] in OPENING:
            depth += 1
        elif text[right] in CLOSING or text[right] == ",":
            if depth == 0:
                break
            depth -= text[right] != ","
        elif depth == 0 and text[right:right + 3] in stops or depth == 0 and text[right:right + 4] in stops:
            break
        right += 1
    depth, left = 0, at
    stops = LOOSER[operator]
    while left > 0:
        c = text[left - 1]
        if c in CLOSING:
            depth += 1
        elif c in OPENING or c == ",":
            if depth == 0:
                break
            depth -= c != ","
        elif depth == 0 and (text[left - 3:left] in stops or text[left - 4:left] in stops):
            break
        left -= 1
    return left, right


def whole(text, site):
    if re.search(r" (?:[<>=!]=|[<>]|&&|\|\|) (?!.* \? )", outermost(text)) or text.startswith("zeros_like("):
        return  # a condition, or nothing
    yield f"-({text})", "wrong sign"
    yield f"({text}) * (1 + 1e-4)", "a factor 1 + 1e-4"


def outermost(text):
    """What stands outside of all brackets."""
    depth, out = 0, ""
    for c in text:
        depth -= c in CLOSING
        out += c if depth == 0 else ""
        depth += c in OPENING
    return out


def terms(text, site):
    for found in re.finditer(r" ([-+]) ", text):
        other = " - " if found.group(1) == "+" else " + "
        yield text[:found.start()] + other + text[found.end():], f"{found.group().strip()} for {other.strip()}"
        left, right = operands(text, found.start(), found.group())
        yield text[:found.start()] + text[right:], "dropped term " + text[found.end():right].strip()
        if found.group(1) == "+":
            yield text[:left] + " " + text[found.end():], "dropped term " + text[left:found.start()].strip()


def factors(text, site):
    for found in re.finditer(r" ([*/]) ", text):
        other = " / " if found.group(1) == "*" else " * "
        yield text[:found.start()] + other + text[found.end():], f"{other.strip()} for {found.group().strip()}"
        left, right = operands(text, found.start(), found.group())
        yield text[:found.start()] + text[right:], "dropped factor " + text[found.end():right].strip()
        if found.group(1) == "*":
            yield text[:left] + " " + text[found.end():], "dropped factor " + text[left:found.start()].strip()


def comparisons(text, site):
    other = {" > ": " >= ", " >= ": " > ", " < ": " <= ", " <= ": " < ", " == ": " != ", " && ": " || ", " || ": " && "}
    for found in re.finditer(r" (>=?|<=?|==|&&|\|\|) ", text):
        yield (text[:found.start()] + other[found.group()] + text[found.end():],
               f"{other[found.group()].strip()} for {found.group().strip()} at {text[max(0, found.start() - 12):found.end() + 6].strip()}")


def branches(text, site):
    for _, start, (condition, a, b), end in calls(text, "where"):
        yield f"{text[:start]}where({condition}, {b}, {a}){text[end + 1:]}", f"wrong branch of {condition}"
        yield f"{text[:start]}where({condition}, {a}, {a}){text[end + 1:]}", f"{condition} ignored"


def swaps(text, site):
    for name, start, given, end in calls(text, "matmul|affine|gather|scatter_add|pow"):
        given[0], given[1] = given[1], given[0]
        yield f"{text[:start]}{name}({', '.join(given)}){text[end + 1:]}", f"swapped operands of {name}"
    for name, start, given, end in calls(text, "apply"):
        if len(given) > 2:
            given[1], given[2] = given[2], given[1]
            yield f"{text[:start]}{name}({', '.join(given)}){text[end + 1:]}", f"swapped operands of {given[0]}"
    names = [n for n in ("a", "b", "x", "y", "v") if n in site.names]
    for i, p in enumerate(names):
        for q in names[i + 1:]:
            taken = re.sub(rf"\b({p}|{q})\b", lambda m: q if m.group() == p else p, text)
            if taken != text:
                yield taken, f"{p} and {q} taken for each other"


def flags(text, site):
    for found in re.finditer(r"\btrue\b(?!>)|\bfalse\b(?!>)|!(?=\w)|\bt[ab]\b", text):
        word = found.group()
        if word in ("ta", "tb") and text[found.start() - 1] == "!":
            continue
        other = {"true": "false", "false": "true", "!": "", "ta": "!ta", "tb": "!tb"}[word]
        yield text[:found.start()] + other + text[found.end():], f"flag {word} turned at {text[max(0, found.start() - 10):found.end() + 4].strip()}"


def functions(text, site):
    for name, start, given, end in calls(text, "sum_to|broadcast_to|reshape|permute|sum|exp|log|sigmoid|detach|square|sqrt|"
                                               "flip|cumsum|place|concat|slice"):
        yield f"{text[:start]}({given[0]}){text[end + 1:]}", f"missing {name}"
    for name, other in (("sin", "cos"), ("cos", "sin"), ("sinh", "cosh"), ("cosh", "sinh"), ("tanh", "sin")):
        for _, start, given, end in calls(text, name):
            yield f"{text[:start]}{other}({given[0]}){text[end + 1:]}", f"{other} for {name}"


def constants(text, site):
    for found in re.finditer(r"(?<![\w.\[])\d+\.?\d*(?![\w.])", text):
        if found.group() not in ("0.0", "0"):
            yield text[:found.start()] + f"({found.group()} + 1)" + text[found.end():], f"{found.group()} + 1 for {found.group()}"


def places(text, site):
    for word in ("axis", "begin"):
        for found in re.finditer(rf"\b{word}\b", text):
            wrong = "(axis == 0 ? 1 : 0)" if word == "axis" else "(begin == 0 ? 1 : begin - 1)"
            yield text[:found.start()] + wrong + text[found.end():], f"wrong {word}"


OPERATORS = [whole, terms, factors, comparisons, branches, swaps, flags, functions, constants, places]


# ---- the faults ------------------------------------------------------------------------------------------------------

class Fault:
    def __init__(self, path, begin, end, new, function, what):
        self.path, self.begin, self.end, self.new, self.function, self.what = path, begin, end, new, function, what
        self.number = 0
        self.line = 0

    def __str__(self):
        return f"{self.path}:{self.line}: {self.function}{': ' if self.function else ''}{self.what}"

    def key(self):
        """The same after lines have moved."""
        return f"{self.path} {self.function} {normal(self.new)}"


def rule_files():
    yield "autograd/formulas.h"
    yield "autograd/elementwise.h"
    folder = os.path.join(ROOT, "autograd/ops")
    yield from sorted("autograd/ops/" + name for name in os.listdir(folder) if name.endswith(".cpp"))


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def normal(text):
    return re.sub(r"\s+", "", text)


def all_faults():
    faults = []
    for path in rule_files():
        text = without_comments(read(path))
        for site in sites(path, text):
            original = re.sub(r"\s+", " ", text[site.begin:site.end])
            seen = {normal(original)}
            for operator in OPERATORS:
                for new, what in operator(original, site):
                    if normal(new) in seen or (site.function, what) in EQUIVALENT:
                        continue
                    seen.add(normal(new))
                    faults.append(Fault(path, site.begin, site.end, new, site.function, what))
    for path, old, new, what in BY_HAND:
        old, which = old if isinstance(old, tuple) else (old, 0)
        text = read(path)
        found = [m.start() for m in re.finditer(re.escape(old), text)]
        if len(found) < max(which, 1) or (which == 0 and len(found) > 1):
            sys.exit(f"mutants.py: {path} has {len(found)} places with {old!r}; the list of faults needs a look")
        begin = found[max(which, 1) - 1]
        end = begin + len(old)
        # Within an expression that has faults already it is another of that one's.
        for around in faults:
            if around.path == path and around.begin <= begin and end <= around.end:
                new, begin, end = text[around.begin:begin] + new + text[end:around.end], around.begin, around.end
                break
        faults.append(Fault(path, begin, end, new, "", what))
    for number, fault in enumerate(faults, 1):
        fault.number = number
        fault.line = read(fault.path).count("\n", 0, fault.begin) + 1
    return faults


# ---- the copy that holds them all ------------------------------------------------------------------------------------

SWITCH = """#pragma once
#include <cstdlib>
/// The fault that is switched on; 0: none.
inline const int ebb_mutant_chosen = std::getenv("EBB_MUTANT") ? std::atoi(std::getenv("EBB_MUTANT")) : 0;
inline bool ebb_mutant(int n) { return n == ebb_mutant_chosen; }
"""


def switched(original, alternatives):
    """One source text that is the original or, by number, an alternative; each alternative on a line of its own."""
    if original.endswith(";"):
        lines = [f"if (ebb_mutant({f.number})) {{ {f.new} }} else" for f in alternatives]
        return "{\n" + "\n".join(lines) + "\n{ " + original + " } }"
    lines = [f"ebb_mutant({f.number}) ? ({f.new}) :" for f in alternatives]
    return "(\n" + "\n".join(lines) + "\n(" + original + "))"


def plant(faults, folder):
    """Writes the sources with the faults into the folder.  Returns where each fault's line went: {(path, line): fault}."""
    lines = {}
    by_path = {}
    for fault in faults:
        by_path.setdefault(fault.path, []).append(fault)
    for path, own in by_path.items():
        text = read(path)
        groups = {}
        for fault in own:
            groups.setdefault((fault.begin, fault.end), []).append(fault)
        # From the last to the first, so that places stay; what lies within another site must not be switched twice.
        last = len(text)
        for (begin, end), alternatives in sorted(groups.items(), reverse=True):
            if end > last:
                sys.exit(f"mutants.py: two faults overlap in {path}: {text[begin:end]!r}")
            text = text[:begin] + switched(text[begin:end], alternatives) + text[end:]
            last = begin
        for line, content in enumerate(text.split("\n"), 1):
            for number in re.findall(r"ebb_mutant\((\d+)\)", content):
                lines[path, line] = next(f for f in own if f.number == int(number))
        write(os.path.join(folder, path), text)
    write(os.path.join(folder, "mutants.h"), SWITCH)
    return lines


def write(path, text):
    """Leaves the file alone if it is the same, so that nothing is compiled again."""
    content = text if isinstance(text, bytes) else text.encode()
    if os.path.exists(path):
        with open(path, "rb") as file:
            if file.read() == content:
                return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


def copy_sources(folder, changed):
    paths = [name for name in os.listdir(ROOT) if os.path.isfile(os.path.join(ROOT, name))]
    for place in ("autograd", "nn", "optim", "tools", "tests", "examples"):
        for where, _, names in os.walk(os.path.join(ROOT, place)):
            paths += [os.path.relpath(os.path.join(where, name), ROOT) for name in names]
    for path in paths:
        if path not in changed:
            with open(os.path.join(ROOT, path), "rb") as file:
                write(os.path.join(folder, path), file.read())


def build(faults, folder, jobs):
    """Compiles the copy.  Faults that are no C++ are left out; returns the others."""
    source, out, refused = (os.path.join(folder, name) for name in ("source", "build", "no-cpp.txt"))
    known = read(refused).split("\n") if os.path.exists(refused) else []
    faults = [f for f in faults if f.key() not in known]
    while True:
        copy_sources(source, {f.path for f in faults})
        lines = plant(faults, source)
        if not os.path.exists(os.path.join(out, "build.ninja")):
            everywhere = ["-w", "-include", os.path.join(source, "mutants.h")]
            subprocess.run(["meson", "setup", out, source, "-Doptimization=1", "-Dexamples=false", "-Db_pch=false",
                            f"-Dcpp_args={everywhere}"], check=True, stdout=subprocess.DEVNULL)
        made = subprocess.run(["ninja", "-C", out, f"-j{jobs}", "-k0"] + [f"tests/{t}_test" for t in TESTS],
                              capture_output=True, text=True, check=False)
        if made.returncode == 0:
            return faults
        # An error is the fault's whose line it names, or else one on the way to where it is.
        for where in (r"(autograd/[\w/.]+):(\d+):\d+: error:", r"(autograd/[\w/.]+):(\d+):\d+:"):
            named = {(path, int(line)) for path, line in re.findall(where, made.stdout)}
            wrong = {lines[place] for place in named if place in lines}
            if wrong:
                break
        if not wrong:
            sys.exit("mutants.py: the copy does not compile\n" + made.stdout[-4000:])
        for fault in sorted(wrong, key=lambda f: f.number):
            print(f"no C++: {fault}", flush=True)
        known += [f.key() for f in wrong]
        write(refused, "\n".join(known))
        faults = [f for f in faults if f not in wrong]


# ---- running ---------------------------------------------------------------------------------------------------------

def killer(number, folder):
    """The first test that fails with the fault switched on, or None."""
    environment = {**os.environ, **QUICK, "EBB_MUTANT": str(number)}
    for test in TESTS:
        program = os.path.join(folder, "build/tests", test + "_test")
        try:
            done = subprocess.run([program, "--abort-after=1"], env=environment, capture_output=True, timeout=120, check=False)
        except subprocess.TimeoutExpired:
            return test
        if done.returncode != 0:
            return test
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("filter", nargs="?", default="", help="only faults whose line of --list has this in it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--list", action="store_true", help="only name the faults")
    parser.add_argument("--folder", default=os.path.join(ROOT, "build-mutants"), help="where the copy is compiled")
    options = parser.parse_args()

    faults = all_faults()
    if options.list:
        chosen = [f for f in faults if options.filter in str(f)]
        for fault in chosen:
            print(fault)
        print(f"{len(chosen)} faults")
        return 0
    faults = build(faults, os.path.abspath(options.folder), options.jobs)
    chosen = [f for f in faults if options.filter in str(f)]
    stands = killer(0, options.folder)
    if stands:
        sys.exit(f"mutants.py: {stands}_test fails without any fault")
    killed, by = 0, {}
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for fault, test in zip(chosen, pool.map(lambda f: killer(f.number, options.folder), chosen)):
            if test:
                killed += 1
                by[test] = by.get(test, 0) + 1
            else:
                print(f"survived: {fault}\n    {fault.new}", flush=True)
    print(", ".join(f"{test} {n}" for test, n in by.items()))
    print(f"{len(chosen)} faults, {killed} killed")
    return killed != len(chosen)


if __name__ == "__main__":
    sys.exit(main())
