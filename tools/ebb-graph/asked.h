// What the command line asks for.
#pragma once

#include "../graphviz.h"

#include <string>
#include <vector>

/// The command line, each word of it understood.
struct Asked {
  std::vector<std::string> traces;  ///< files; "-": standard input
  std::string output;               ///< a file; empty: none; "-": standard output
  std::string format;               ///< of standard output or of frames; empty: not said
  std::string frames;               ///< a folder; empty: none
  bool diff = false, text = false, report = false;
  ebb::graphviz::DotOptions picture;
  std::string answer;  ///< of --help or --version, which ask for nothing else
};

/// Throws UsageError for what is unknown, out of range, or would be ignored.
Asked asked(int count, const char* const* words);
