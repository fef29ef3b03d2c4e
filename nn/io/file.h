// Whole files: read, and replaced in one step.
#pragma once

#include <span>
#include <string>

namespace ebb::io {

/// The bytes of a regular file.  Throws IoError: cannot open "x.csv": No such file or directory.
std::string read_file(const std::string& path);

/// Makes `path` hold the parts, one after the other.  Whatever happens on the way, even a crash, it holds either what it
/// did before or all of them.  Throws IoError.
void replace_file(const std::string& path, std::span<const std::span<const char>> parts);

/// Throws the IoError that replace_file would for a place where nothing can be written.  Leaves everything as it is.
void require_writable(const std::string& path);

}  // namespace ebb::io
