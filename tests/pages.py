"""Every whole program in a Markdown file compiles, and ends with status 0: what a reader copies works.

pages.py page.md root compiler...: a whole program is a ```cpp block with a main function; compiler is the command that
compiles program.cpp, with all its flags.  Programs run in an empty folder in which examples/ leads to the root's.
"""
import os
import re
import subprocess
import sys
import tempfile

BLOCK = re.compile(r"^```cpp\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run(command, folder, what):
    result = subprocess.run(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.returncode:
        sys.exit(f"{what}: status {result.returncode}\n{result.stdout}")
    return result.stdout


def main():
    page, root, compiler = sys.argv[1], sys.argv[2], sys.argv[3:]
    with open(page, encoding="utf-8") as file:
        programs = [block for block in BLOCK.findall(file.read()) if "int main" in block]
    if not programs:
        sys.exit(f"{page} has no whole program in a ```cpp block")
    for number, program in enumerate(programs, 1):
        with tempfile.TemporaryDirectory() as folder:
            os.symlink(os.path.join(root, "examples"), os.path.join(folder, "examples"))
            with open(os.path.join(folder, "program.cpp"), "w", encoding="utf-8") as file:
                file.write(program)
            run([*compiler, "-o", "program"], folder, f"compiling program {number} of {page}\n{program}")
            print(run(["./program"], folder, f"running program {number} of {page}"))


if __name__ == "__main__":
    main()
