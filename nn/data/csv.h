// Tables of numbers in text files.
#pragma once

#include "dataset.h"

#include <string>

namespace ebb::data {

/// How csv() reads a table.
struct CsvOptions {
  std::string label;     ///< the column that holds the answers
  bool classes = false;  ///< answers are class numbers: y is [n] i64 and not [n, 1] f32
  char separator = ',';
};

/// Reads a table whose first line names the columns and whose other cells are numbers (RFC 4180: cells may stand in
/// quotes): x [n, columns - 1] f32 in the order of the file, y the label column.  Empty lines count for nothing.
/// Throws IoError if the file cannot be read, UsageError if the label is no column, and ParseError, with file, line and
/// column, for what is no finite number, a row of another length, or a line over 16 MiB.
Dataset csv(const std::string& path, const CsvOptions& options);

}  // namespace ebb::data
