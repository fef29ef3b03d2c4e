"""ebb-graph as a person uses it: its help is true, its examples work, and what cannot be is refused in words.

ebb_graph.py ebb-graph man-page
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

COMMAND, MAN = map(os.path.abspath, sys.argv[1:3])
MAGIC = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF", "html": b"<!DOCTYPE html>", "dot": b"//", "json": b"{"}
HAS_DOT = shutil.which("dot") is not None
wrong = 0


def check(good, *what):
    global wrong
    if not good:
        wrong += 1
        print("WRONG:", *what)


def run(*words, **more):
    result = subprocess.run([COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, **more)
    return result.returncode, result.stdout, result.stderr.decode()


def trace(size):
    """A net of two layers, as tools/graphviz/trace.md says; `size` is that of its gradients."""
    nodes = []

    def node(kind, shape, gradient=None, **more):
        one = {"id": len(nodes) + 1, "kind": kind, "dtype": "f32", "shape": shape, **more}
        if gradient is not None:
            one["gradient"] = gradient
        nodes.append(one)
        return one["id"]

    x, steps = node("constant", [4, 3], "unneeded"), 4
    for step, module in ((3, "encoder.0"), (2, "encoder.1")):
        w = node("parameter", [3, 3], size / step, name=module + ".weight", wants_gradient=True, value=0.5)
        x = node("op", [4, 3], size / step, op="matmul", formula="x·W", rule="∇x = g·Wᵀ   ∇W = xᵀ·g", module=module,
                 module_kind="Dense", call=step, wants_gradient=True, value=1.5, step=step + 1,
                 **{"in": [{"id": x, "name": "x"}, {"id": w, "name": "W", "gradient": size / step}]})
    x = node("op", [4, 3], size, op="relu", wants_gradient=True, value=1, step=2, pointwise=True, **{"in": [{"id": x}]})
    root = node("op", [], 1, op="mean", wants_gradient=True, value=0.25, step=1, **{"in": [{"id": x}]})
    return {"format": "ebb-trace", "version": 1, "observed": True, "differentiated": True, "root": root, "ops": 4,
            "steps": steps, "parameters": 18, "nodes": nodes}


def write_traces():
    for name, size in (("step", 1e-3), ("before", 1e-3), ("after", 1e-5), ("step-000001", 1e-2), ("step-000100", 1e-3)):
        with open(name + ".json", "w", encoding="utf-8") as file:
            json.dump(trace(size), file, ensure_ascii=False)


def examples_of(text):
    return [line.split("  ")[0] for line in re.findall(r"^(?:  |\.Dl )(ebb-graph .*)$", text, re.MULTILINE)]


def check_help():
    status, out, err = run("--help")
    check(status == 0 and not err, "--help", status, err)
    text = out.decode()
    check(max(map(len, text.splitlines())) <= 80, "--help is wider than 80 columns")
    with open(MAN, encoding="utf-8") as file:
        man = file.read()
    options = set(re.findall(r"^  (?:-\w, |    )(--[a-z-]+)", text, re.MULTILINE))
    described = {"--" + name for name in re.findall(r"^\.It (?:Fl \w , )?Fl -([a-z-]+)", man, re.MULTILINE)}
    check(len(options) > 15 and options == described, "--help and the man page differ:", options ^ described)
    for option in sorted(options):
        check("unknown option" not in run(option)[2], option, "is in --help and unknown")
    check(examples_of(text) == examples_of(man) != [], "the examples of --help and of the man page differ")
    if shutil.which("mandoc"):
        lint = subprocess.run(["mandoc", "-Tlint", "-Wstyle", MAN], text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT).stdout
        check("WARNING" not in lint and "ERROR" not in lint and "STYLE" not in lint, lint)
    return examples_of(text)


def check_examples(examples):
    for example in examples:
        output = re.search(r"-o (\S+)", example)
        if output and not HAS_DOT:
            continue
        result = subprocess.run(["sh", "-c", example.replace("ebb-graph", '"$0"', 1), COMMAND], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)
        check(result.returncode == 0 and not result.stderr, example, result.returncode, result.stderr)
        if not output:
            check(len(result.stdout) > 60, example, "prints nothing")
            continue
        check(not result.stdout, example, "prints something")
        if result.returncode:
            continue
        with open(output[1], "rb") as file:
            check(file.read().startswith(MAGIC[output[1].split(".")[1]]), example, "wrote something else")


def check_refusals():
    """What is asked, the status, and what is said of it."""
    with open("text.json", "w", encoding="utf-8") as file:
        file.write("hello")
    with open("old.svg", "w", encoding="utf-8") as file:
        file.write("old")
    formats = "svg, png, pdf, html, dot, json"
    for words, status, said in (
            ([], 2, "which trace?\n  help: ebb-graph step.json; ebb-graph --help says more"),
            (["--dept", "1", "step.json"], 2, "unknown option --dept\n  help: did you mean --depth?"),
            (["-q", "step.json"], 2, "unknown option -q\n  help: ebb-graph --help lists them all"),
            (["step.json", "-o"], 2, "--output needs a value"),
            (["step.json", "--text=3"], 2, "--text takes no value"),
            (["step.json", "--depth", "1", "--depth", "2"], 2, "--depth is given more than once"),
            (["step.json", "-o", "x.jpg"], 2, f"-o x.jpg: its extension must be one of {formats}"),
            (["step.json", "-o", "x"], 2, f"-o x: its extension must be one of {formats}"),
            (["step.json", "-o", "-"], 2, "-o - needs --format"),
            (["step.json", "-o", ""], 2, "--output is empty"),
            (["step.json", "--format", "gif"], 2, f"--format gif: must be one of {formats}"),
            (["step.json", "--format", "svg", "-o", "x.svg"], 2, "--format is of standard output and of frames; x.svg is .svg"),
            (["step.json", "--format", "dot", "--frames", "f"], 2, "--format dot: frames are svg or png"),
            (["step.json", "-o", "x.svg", "--view", "laddr"], 2,
             "--view laddr: must be one of auto, ladder, cards, strip, scalar\n  help: did you mean ladder?"),
            (["step.json", "-o", "x.svg", "--theme", "black"], 2, "--theme black: must be one of auto, light, dark"),
            (["step.json", "--color", "heat"], 2, "--color heat: must be one of gradient, value, time, memory"),
            (["step.json", "--color", "time"], 1,
             "step.json: holds no times\n  help: graphviz::save(graph, file, {.times = true}) keeps them"),
            (["step.json", "--depth", "-1"], 2, "--depth -1: must be a whole number from 0"),
            (["step.json", "--depth", "1.5"], 2, "--depth 1.5: must be a whole number from 0"),
            (["step.json", "--depth", "99999999999"], 2, "--depth 99999999999: must be a whole number from 0"),
            (["step.json", "--max-nodes", "1"], 2, "--max-nodes 1: must be a whole number from 2"),
            (["step.json", "-o", "x.svg", "--heat-center", "0"], 2, "--heat-center 0: must be a number above 0"),
            (["step.json", "-o", "x.svg", "--heat-center", "nan"], 2, "--heat-center nan: must be a number above 0"),
            (["step.json", "-o", "x.svg", "--heat-span", "301"], 2, "--heat-span 301: must be a number above 0, to 300"),
            (["step.json", "--theme", "dark"], 2, "--theme is about pictures, and none is asked for\n  help: add -o FILE"),
            (["step.json", "--report", "--depth", "1"], 2,
             "--depth is about pictures and tables, and none is asked for\n  help: add -o FILE or --text"),
            (["step.json", "-o", "x.json", "--depth", "1"], 2,
             "--depth is about pictures and tables, and none is asked for\n  help: add -o FILE or --text"),
            (["step.json", "--radius", "1"], 2, "--radius is how far around --focus, which is not given"),
            (["step.json", "--focus", "decoder"], 2,
             'no module "decoder" to focus on\n  help: there is "encoder", "encoder.0", "encoder.1"'),
            (["step.json", "-o", "x.png", "--play"], 2, "--play: only .svg and .html play\n  help: add -o FILE.svg"),
            (["step.json", "after.json", "-o", "x.json"], 2, "a .json is one trace, and several are given"),
            (["step.json", "--diff"], 2, "--diff compares two traces, before and after, not 1"),
            (["none.json"], 1, "none.json: cannot be opened: No such file or directory"),
            (["."], 1, ".: cannot be read: Is a directory"),
            (["text.json", "-o", "old.svg"], 1, "text.json: line 1, byte 1: this is no JSON"),
            (["step.json", "text.json", "-o", "x.svg"], 1, "text.json: line 1, byte 1: this is no JSON"),
            (["step.json", "-o", "none/x.dot"], 1, "cannot write none/x.dot: No such file or directory"),
            (["step.json", "none.json"], 1, "none.json: cannot be opened: No such file or directory")):
        before = sorted(os.listdir())
        found, out, err = run(*words)
        check((found, err) == (status, f"ebb-graph: {said}\n"), words, found, err)
        check(not out, words, "prints to standard output", out[:80])
        check(sorted(os.listdir()) == before, words, "leaves files behind")
    status, out, err = run("step.json", "-o", "old.svg", env={"PATH": os.getcwd()})
    check(status == 1 and "is not installed" in err, "without dot", status, err)
    with open("old.svg", encoding="utf-8") as file:
        check(file.read() == "old", "a picture that cannot be drawn replaced another")


def check_standard_output():
    for name, begin in MAGIC.items():
        if name in ("dot", "json") or HAS_DOT:
            for words in (["--format", name], ["--format", name, "-o", "-"]):
                status, out, err = run("step.json", *words)
                check(status == 0 and not err and out.startswith(begin), words, status, err, out[:20])
    with open("step.json", "rb") as file:
        status, out, err = run("-", stdin=file)
    check(status == 0 and out == run("step.json")[1], "-", status, err)
    check(run("step.json", "--format", "dot")[1] == run("step.json", "--format", "dot")[1], "two runs differ")

    full = subprocess.run(["sh", "-c", '"$0" step.json > /dev/full', COMMAND], stderr=subprocess.PIPE, text=True)
    check((full.returncode, full.stderr) ==
          (1, "ebb-graph: cannot write to standard output: No space left on device\n"), full)
    closed = subprocess.run(["sh", "-c", '"$0" step.json >&-', COMMAND], stderr=subprocess.PIPE, text=True)
    check((closed.returncode, closed.stderr) ==
          (1, "ebb-graph: cannot write to standard output: Bad file descriptor\n"), closed)
    if HAS_DOT:
        bare = subprocess.run(["sh", "-c", '"$0" step.json -o bare.png <&- >&- 2>&-', COMMAND])
        with open("bare.png", "rb") as file:
            check(bare.returncode == 0 and file.read().startswith(MAGIC["png"]), "with no standard files")
    reading, writing = os.pipe()
    os.close(reading)
    status = subprocess.run([COMMAND, "step.json"], stdout=writing, stderr=subprocess.PIPE)
    check(status.returncode == 0 and not status.stderr, "nobody reads", status)


def check_frames():
    if not HAS_DOT:
        return
    for words, names in ((["step.json"], [f"step-00{i}.svg" for i in range(5)]),
                         (["before.json", "after.json", "--format", "png"], ["frame-000.png", "frame-001.png"])):
        folder = "frames" + names[0][:4]
        status, out, err = run(*words, "--frames", folder)
        check(status == 0 and not out and sorted(os.listdir(folder)) == names, words, status, err, os.listdir(folder))


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        write_traces()
        check_examples(check_help())
        check_refusals()
        check_standard_output()
        check_frames()
        os.chdir("/")
    if not HAS_DOT:
        print("dot (package graphviz) is not installed: pictures were not drawn")
    return wrong != 0


if __name__ == "__main__":
    sys.exit(main())
