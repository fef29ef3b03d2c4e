"""Every source file is listed in a meson.build: one that is not is a test that never runs.

listed.py root
"""
import os
import sys

PLACES = ("autograd", "nn", "optim", "tools", "examples", "tests")


def sources(root):
    for place in PLACES:
        for folder, _, names in os.walk(os.path.join(root, place)):
            yield from (os.path.join(folder, name) for name in names if name.endswith(".cpp"))


def main():
    root = sys.argv[1]
    lists = ""
    for name in ("meson.build", "tests/meson.build"):
        with open(os.path.join(root, name), encoding="utf-8") as file:
            lists += file.read()
    missing = 0
    for path in sorted(os.path.relpath(source, root) for source in sources(root)):
        # The library's sources are listed whole, examples and tests by what tells them apart.
        names = [path, os.path.basename(path).removesuffix(".cpp").removesuffix("_test"), os.path.basename(path)]
        if not any(f"'{name}'" in lists for name in (names if path.startswith(("examples", "tests")) else [path])):
            print(f"{path} is in no meson.build")
            missing += 1
    return missing != 0


if __name__ == "__main__":
    sys.exit(main())
