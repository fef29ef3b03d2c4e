// What the tests of pictures share: small models with names, and ways to look into DOT.
#pragma once

#include "folder.h"

#include <doctest/doctest.h>
#include <ebb/autograd/autograd.h>
#include <ebb/tools/graphviz.h>
#include <ebb/tools/graphviz/file.h>
#include <ebb/tools/graphviz/text.h>
#include <ebb/tools/graphviz/write.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace ebb::graphs {

using namespace ebb::graphviz;

// Numbers without any library function in them, so that the pictures are the same everywhere.
inline Tensor numbers(const Shape& shape, double scale, int seed) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < shape.size(); ++i)
    values.push_back(static_cast<float>(scale * (static_cast<double>((i * 37 + seed * 11) % 64) / 32 - 1)));
  return from(values, shape);
}

inline Parameter parameter(const Shape& shape, double scale, int seed, const char* name) {
  Parameter p(numbers(shape, scale, seed));
  p.rename(name);
  return p;
}

// A layer as pictures see it: parameters with names, and a scope.
struct Layer {
  std::string path, kind;
  Parameter weight, bias;
  Layer(std::string name, int in, int out, int seed)
      : path(std::move(name)),
        kind("Dense(" + std::to_string(in) + " -> " + std::to_string(out) + ")"),
        weight(parameter({out, in}, 0.5, seed, (path + ".weight").c_str())),
        bias(parameter({out}, 0.25, seed + 1, (path + ".bias").c_str())) {}
  Tensor operator()(const Tensor& x) const {
    const Scope scope(path, kind);
    const Tensor w = weight, b = bias;  // in this order, whatever the compiler
    return affine(x, w, b);
  }
};

inline Tensor activation(const char* path, const char* kind, Tensor (*f)(const Tensor&), const Tensor& x) {
  const Scope scope(path, kind);
  return f(x);
}

// The guide's model, small enough to read: the loss takes the logits, so the sigmoid has no step back.
struct Mlp {
  Layer first{"0", 10, 8, 1}, second{"2", 8, 4, 3}, third{"4", 4, 1, 5};
  Tensor loss() const {
    const Tensor x = numbers({32, 10}, 1, 9), y = ones({32, 1});
    Tensor h = activation(
        "1", "ReLU", [](const Tensor& t) { return relu(t); }, first(x));
    h = activation(
        "3", "ReLU", [](const Tensor& t) { return relu(t); }, second(h));
    const Tensor z = third(h);
    activation(
        "5", "Sigmoid", [](const Tensor& t) { return sigmoid(t); }, z);
    return bce_with_logits(z, y);
  }
};

inline Tensor residual_loss(const Layer& stem, const Layer& block, const Layer& head) {
  const Tensor h = relu(stem(numbers({16, 8}, 1, 2)));
  const Tensor sum = h + relu(block(h));
  return mean(square(head(sum)));
}

inline bool dot_is_installed() {
  static const bool installed = std::system("command -v dot > /dev/null 2>&1") == 0;
  if (!installed) MESSAGE("dot (package graphviz) is not installed: what needs it is not tested");
  return installed;
}

inline std::string read(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

inline std::size_t times(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

inline bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// The statement that makes the DOT node, e.g. "b4".
inline std::string statement(const std::string& text, const std::string& node) {
  const std::size_t begin = text.find("  " + node + " [");
  REQUIRE_MESSAGE(begin != std::string::npos, "no node ", node);
  return text.substr(begin, text.find('\n', begin) - begin);
}

// What a reader sees of the markup: no tags, a space at the end of each cell, labels in <...>.
inline std::string words(const std::string& text) {
  std::string seen;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool tag = text[i] == '<' && (i == 0 || text[i - 1] != '=');
    if (!tag) {
      seen += text[i];
      continue;
    }
    if (text.compare(i, 5, "</TD>") == 0) seen += ' ';
    i = std::min(text.find('>', i), text.size() - 1);
  }
  return seen;
}

inline void check_golden(const std::string& name, const std::string& text) {
  const std::string file = std::string(EBB_SOURCE_ROOT) + "/tests/golden/" + name;
  if (std::getenv("EBB_UPDATE_GOLDEN") != nullptr) put(file, text);
  const bool same = read(file) == text;
  CHECK_MESSAGE(same, name, " differs from the picture in tests/golden; EBB_UPDATE_GOLDEN=1 writes it anew");
}

inline double rms(const Tensor& t) {
  double squares = 0;
  for (const double v : t.to_vector<double>()) squares += v * v;
  return std::sqrt(squares / static_cast<double>(t.size()));
}

// dot must take the text.
inline void check_drawable(const std::string& text) {
  if (!dot_is_installed()) return;
  const Folder folder;
  Replacement out(folder / "canon.dot");
  CHECK_NOTHROW(run_dot(text, "canon", out));
}

// PATH holds nothing but this folder until the end of the scope.
struct OnlyPath {
  std::string before = std::getenv("PATH") == nullptr ? "" : std::getenv("PATH");
  explicit OnlyPath(const std::string& folder) { ::setenv("PATH", folder.c_str(), 1); }
  ~OnlyPath() { ::setenv("PATH", before.c_str(), 1); }
};

inline void fake_dot(const Folder& folder, const std::string& script) {
  put(folder / "dot", "#!/bin/sh\n" + script + "\n");
  ::chmod((folder / "dot").c_str(), 0755);
}

}  // namespace ebb::graphs
