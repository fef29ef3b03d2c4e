"""What is installed is whole: a program finds it by pkg-config, a Meson project finds it as a subproject.

install.py root build compiler: installs the build into a temporary folder and works from there.
"""
import os
import subprocess
import sys
import tempfile

PROGRAM = """
#include <ebb/autograd/autograd.h>
#include <ebb/nn/nn.h>
#include <ebb/optim/optim.h>
#include <ebb/tools/graphviz.h>

struct Model {
  ebb::nn::Dense out{2, 1};
  ebb::Tensor operator()(const ebb::Tensor& x) const { return out(x); }
  EBB_FIELDS(out)
};

int main() {
  Model model;
  ebb::optim::SGD sgd(model, {.lr = 0.1});
  ebb::Graph graph;
  ebb::Tensor loss = ebb::nn::mse_loss(model(ebb::ones({3, 2})), ebb::ones({3, 1}));
  loss.backward();
  sgd.step();
  return ebb::graphviz::dot(graph).empty();
}
"""

MESON = """
project('downstream', 'cpp', default_options: ['cpp_std=c++20'])
executable('program', 'program.cpp', dependencies: dependency('ebb'))
"""


def run(*command, **environment):
    result = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            env={**os.environ, **environment})
    if result.returncode:
        sys.exit(f"{' '.join(command)}: status {result.returncode}\n{result.stdout}")
    return result.stdout


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def by_pkg_config(build, compiler, folder):
    stage = os.path.join(folder, "stage")
    run("meson", "install", "-C", build, "--no-rebuild", "--destdir", stage)
    pages = [found for found, _, names in os.walk(stage) if "ebb.pc" in names]
    if len(pages) != 1:
        sys.exit(f"ebb.pc is installed in {len(pages)} places, not one")
    # Installed under a temporary root; pkg-config puts that root before each path it names.
    flags = run("pkg-config", "--cflags", "--libs", "ebb",
                PKG_CONFIG_PATH=pages[0], PKG_CONFIG_SYSROOT_DIR=stage).split()
    source, program = os.path.join(folder, "program.cpp"), os.path.join(folder, "program")
    write(source, PROGRAM)
    run(*compiler, source, *flags, "-o", program)
    libraries = next(flag[2:] for flag in flags if flag.startswith("-L"))
    run(program, LD_LIBRARY_PATH=libraries)
    for found, _, names in os.walk(stage):
        if "ebb-graph" in names:
            run(os.path.join(found, "ebb-graph"), "--version", LD_LIBRARY_PATH=libraries)


def as_subproject(root, folder):
    project = os.path.join(folder, "downstream")
    write(os.path.join(project, "meson.build"), MESON)
    write(os.path.join(project, "program.cpp"), PROGRAM)
    write(os.path.join(project, "subprojects", "ebb.wrap"), "[wrap-file]\ndirectory = ebb\n[provide]\ndependency_names = ebb\n")
    os.symlink(root, os.path.join(project, "subprojects", "ebb"))
    run("meson", "setup", os.path.join(project, "build"), project)


if __name__ == "__main__":
    root, build, compiler = sys.argv[1], sys.argv[2], sys.argv[3:]
    with tempfile.TemporaryDirectory() as folder:
        by_pkg_config(build, compiler, folder)
        as_subproject(root, folder)
