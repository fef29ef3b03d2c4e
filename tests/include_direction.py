"""Fails on an #include that goes the wrong way: kernels <- autograd <- nn <- optim <- examples, tests, tools.

tools/graphviz sees autograd alone.  The library's files include each other relative to their own file, tests and
examples include <ebb/...> as users do, and a public header includes public headers and the standard library alone.

include_direction.py root public-header...: prints file:line of every wrong arrow.
"""
import os
import re
import sys

SEES = {
    "kernels": {"kernels"},
    "autograd": {"kernels", "autograd"},
    "nn": {"kernels", "autograd", "nn"},
    "optim": {"kernels", "autograd", "nn", "optim"},
    "graphviz": {"autograd", "graphviz"},
    "tools": {"kernels", "autograd", "nn", "optim", "graphviz", "tools"},
    "examples": {"autograd", "nn", "optim", "graphviz", "tools", "examples"},
    "tests": {"kernels", "autograd", "nn", "optim", "graphviz", "tools", "examples", "tests"},
}
LIBRARY = {"kernels", "autograd", "nn", "optim", "graphviz"}
INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')


def part(path):
    """The part of the house a file belongs to; None: outside of it."""
    for prefix, name in (("autograd/kernels/", "kernels"), ("tools/graphviz", "graphviz")):
        if path.startswith(prefix):
            return name
    top = path.split("/")[0]
    return top if top in SEES else None


def complaints(path, lines, public):
    """What is wrong with the includes of one file, as (line, sentence); public: the headers that are installed."""
    me = part(path)
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        angle, target = match.group(1) == "<", match.group(2)
        if angle and not target.startswith("ebb/"):
            if path in public and re.search(r"[./]", target):
                yield number, f"<{target}> in a public header: only the standard library may show there"
            continue
        if angle:
            seen = part(target[len("ebb/"):])
            if me in LIBRARY:
                yield number, f"<{target}> inside the library: include it relative to this file"
                continue
        else:
            found = os.path.normpath(os.path.join(os.path.dirname(path), target))
            seen = part(found)
            if path in public and found not in public:
                yield number, f'"{target}" is not among the public headers, so it is not installed'
                continue
            if me in ("examples", "tests") and seen != me:
                yield number, f'"{target}" in {me}: include <ebb/...> as users do'
                continue
        if seen not in SEES[me]:
            yield number, f"{me} may not include {target} ({seen or 'unknown'}); it sees {', '.join(sorted(SEES[me]))}"


def check(root, public):
    wrong = files = 0
    for top in ("autograd", "nn", "optim", "tools", "examples", "tests"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                if not name.endswith((".h", ".cpp")):
                    continue
                files += 1
                path = os.path.relpath(os.path.join(folder, name), root)
                with open(os.path.join(root, path), encoding="utf-8") as lines:
                    for number, sentence in complaints(path, lines, public):
                        print(f"{path}:{number}: {sentence}")
                        wrong += 1
    print(f"{files} files, {wrong} wrong includes")
    return wrong != 0 or files == 0


def check_myself():
    """The arrows that must be found, so that an empty answer means something."""
    public = {"nn/layers.h", "tools/graphviz.h", "autograd/tensor.h", "autograd/graph.h"}
    for path, line, good in (
        ("autograd/kernels/gemm.cpp", '#include "../tensor.h"', False),
        ("autograd/tensor.cpp", '#include "kernels/gemm.h"', True),
        ("autograd/tensor.cpp", '#include "../nn/nn.h"', False),
        ("nn/layers.h", '#include "../autograd/tensor.h"', True),
        ("nn/layers.h", "#include <ebb/autograd/tensor.h>", False),
        ("nn/layers.h", "#include <fmt/format.h>", False),
        ("nn/layers.h", "#include <vector>", True),
        ("nn/layers.h", '#include "inner.h"', False),
        ("nn/layers.cpp", '#include "inner.h"', True),
        ("nn/layers.cpp", "#include <fmt/format.h>", True),
        ("nn/layers.cpp", '  #  include "../optim/adam.h"', False),
        ("tools/graphviz/writer.cpp", '#include "../../nn/nn.h"', False),
        ("tools/graphviz.h", '#include "../autograd/graph.h"', True),
        ("tests/nn_test.cpp", "#include <ebb/optim/optim.h>", True),
        ("tests/nn_test.cpp", '#include "reference.h"', True),
        ("tests/nn_test.cpp", '#include "../nn/nn.h"', False),
    ):
        assert (not list(complaints(path, [line], public))) == good, (path, line)


if __name__ == "__main__":
    check_myself()
    sys.exit(check(sys.argv[1], set(sys.argv[2:])))
