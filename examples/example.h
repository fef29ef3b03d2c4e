// What the longer examples share: their command line, and what becomes of a result.
#pragma once

#include <cstdio>
#include <cstring>
#include <string>

/// What a program is asked: program [--short] [data]
struct Request {
  bool brief = false;  ///< --short: a slice of the work, with a goal of its own, to see that all of it works
  std::string data;    ///< a file or folder in place of the usual one; empty: the usual

  Request(int argc, char** argv) {
    for (int i = 1; i < argc; ++i)
      if (std::strcmp(argv[i], "--short") == 0) brief = true;
      else data = argv[i];
  }
};

/// What main() returns: 0 if the result is at least what it must be; says so otherwise.
inline int verdict(const char* program, const char* what, double result, double must_reach) {
  if (result >= must_reach) return 0;
  std::printf("%s: %s is %.4f and must reach %.4f\n", program, what, result, must_reach);
  return 1;
}
