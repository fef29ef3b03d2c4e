"""stories.py FOLDER: each story, <name>.cpp, takes at most two statements more than the same in Keras, <name>.keras.py.

What counts stands between the lines [story] and [/story]; making data does not.  A statement is what ends in a
semicolon, the head of a function, for, while, if or with, and EBB_FIELDS; in Python what its grammar calls one, and the
body of a lambda, but no import and no docstring.
"""

import ast
import pathlib
import re
import sys

ALLOWED = 2


def told(path, comment):
    """The parts of a file that count."""
    parts = re.findall(rf"^ *{comment} \[story\]\n(.*?)^ *{comment} \[/story\]\n", path.read_text(), re.S | re.M)
    if not parts:
        sys.exit(f"{path}: there is no [story] in it")
    return "".join(parts)


def python_statements(text):
    count = 0
    for node in ast.walk(ast.parse(text)):
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        counts = isinstance(node, (ast.stmt, ast.Lambda)) and not isinstance(node, (ast.Import, ast.ImportFrom))
        count += counts and not docstring
    return count


def cpp_statements(text):
    text = re.sub(r"//[^\n]*", "", text)
    text = re.sub(r'"(\\.|[^"\\])*"', '""', text)
    text = re.sub(r"(?<![0-9A-Za-z_])'(\\.|[^'\\])'", "0", text)
    tokens = re.findall(r'[A-Za-z_]\w*|""|[^\s\w]|\w+', text)
    heads = {"for", "while", "if", "switch", "try", "catch"}
    count, opened, closes = 0, [], {}
    for at, token in enumerate(tokens):
        if token in heads or token == "EBB_FIELDS":
            count += 1
        elif token == ";":
            count += not opened or tokens[opened[-1]] == "{"
        elif token in "([{":
            if token == "{":
                count += opens_function(tokens, at, closes, heads)
            opened.append(at)
        elif token in ")]}":
            closes[at] = opened.pop()
    return count


def opens_function(tokens, at, closes, heads):
    """Whether the brace at this place begins the body of a function that has a name."""
    before = at - 1
    while before >= 0 and tokens[before] in ("const", "noexcept", "override"):
        before -= 1
    if before < 0 or tokens[before] != ")":
        return False
    name = tokens[closes[before] - 1]
    return name == ")" or (re.match(r"[A-Za-z_]", name) is not None and name not in heads)


def main():
    assert cpp_statements("struct A { int a; int f(int x) const { return x; } EBB_FIELDS(a) }; A b{1};") == 6
    assert cpp_statements("for (int i = 0; i < 3; ++i) g([](auto x) { return x; }); if (a) { b(\"; {\"); }") == 5
    assert cpp_statements("A() : a(1), b(2) {} auto x = f({.y = 1}); // no; comment") == 2
    assert python_statements("import a\nfor i in b:\n  c(lambda x: x)\nclass D:\n  'doc'\n  def f(s): return 1\n") == 6

    stories = sorted(pathlib.Path(sys.argv[1]).glob("*.cpp"))
    longest = 0
    print("statements      Ebb  Keras")
    for story in stories:
        ours = cpp_statements(told(story, "//"))
        theirs = python_statements(told(story.with_suffix(".keras.py"), "#"))
        longest = max(longest, ours - theirs)
        print(f"{story.stem:14} {ours:4} {theirs:6}")
    if not stories or longest > ALLOWED:
        sys.exit(f"a story in Ebb takes {longest} statements more than in Keras; {ALLOWED} are allowed")


main()
