// Tables in text files.
#pragma once

#include "dataset.h"

#include <map>
#include <string>
#include <vector>

namespace ebb::data {

/// What to do where a cell is missing: empty, NA, N/A, NaN, null or ?, in small or large letters, and where a column holds
/// words, not in quotes.  A missing answer or word is refused unless its row is left out.
enum class Missing {
  refuse,  ///< throw ParseError with the place
  drop,    ///< leave the row out
  mean,    ///< the mean of the numbers that the column has in this file
  fill     ///< CsvOptions::fill
};

/// How csv() reads a table.
struct CsvOptions {
  std::string label = {};                ///< the column that holds the answers
  bool classes = false;                  ///< answers are classes, as numbers or names: y is [n] i64 and not [n, 1] f32
  char separator = ',';                  ///< no quote, and nothing that ends a line
  std::vector<std::string> labels = {};  ///< instead of `label`, several columns of answers: y is [n, labels] f32
  bool labelled = true;                  ///< false: no column holds answers, and y holds nothing
  bool header = true;                    ///< the first line names the columns; false: they are called "0", "1", ...
  Missing missing = Missing::refuse;
  double fill = 0;  ///< with Missing::fill: what a missing number is
  /// Columns that hold words, which become numbers: their place in this list, or if it is empty, in the sorted list of
  /// those that are found.  Dataset::categories keeps the lists; give them to read another table in the same way.
  std::map<std::string, std::vector<std::string>> categories = {};
  bool one_hot = false;  ///< a column of words becomes a column of 0 and 1 for each word, called "colour=red"
  std::vector<std::string> class_names = {};  ///< the same for names of classes: Dataset::classes of another table
};

/// Reads a table of numbers whose first line names the columns, gzip-packed or not (RFC 4180: cells may stand in quotes):
/// x [n, columns] f32 in the order of the file, y the label column.  Empty lines count for nothing.
/// Throws IoError if the file cannot be read, UsageError if the label is no column, and ParseError, with file, line and
/// column, for what is no finite number, a word that is not listed, a row of another length, or a line over 16 MiB.
Dataset csv(const std::string& path, const CsvOptions& options);

}  // namespace ebb::data
