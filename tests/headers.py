"""Every public header compiles alone, without a warning, with each compiler that is here.

headers.py folder header...: the headers as users write them after <ebb/, found in folder/ebb.
"""
import concurrent.futures
import os
import shutil
import subprocess
import sys

FLAGS = ["-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]


def compile_alone(compiler, folder, header):
    # Twice: the second time must be empty.
    program = f"#include <ebb/{header}>\n#include <ebb/{header}>\n"
    return subprocess.run([compiler, *FLAGS, "-I", folder, "-x", "c++", "-"], input=program, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def main():
    folder, headers = sys.argv[1], sys.argv[2:]
    compilers = [c for c in ("g++", "clang++") if shutil.which(c)] or ["c++"]
    jobs = [(compiler, folder, header) for compiler in compilers for header in headers]
    wrong = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for job, result in zip(jobs, pool.map(lambda job: compile_alone(*job), jobs)):
            if result.returncode:
                print(f"{job[0]} <ebb/{job[2]}>\n{result.stdout}")
                wrong += 1
    print(f"{len(headers)} headers with {' and '.join(compilers)}: {wrong} wrong")
    return wrong != 0 or not headers


if __name__ == "__main__":
    sys.exit(main())
