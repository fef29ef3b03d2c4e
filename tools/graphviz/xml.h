// As much of XML as dot writes in an SVG: a tree that can be changed and written again.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ebb::graphviz {

/// An element, or the text between two.  Texts and values are kept as they stand in the file, escaped.
struct Element {
  std::string name;  ///< empty: text
  std::vector<std::pair<std::string, std::string>> attributes;
  std::vector<Element> children;
  std::string text;

  /// The attribute's value; empty without one.
  std::string_view get(std::string_view attribute) const;
  void set(std::string_view attribute, std::string value);
  /// One more word in the attribute `class`.
  void add_class(std::string_view word);
  bool has_class(std::string_view word) const;
};

/// The outermost element; comments, declarations and blank lines are left out.
/// Throws IoError if the text is not what an XML writer writes.
Element read_xml(std::string_view text);

/// Appends the element, each inner one on a line of its own.
void write_xml(const Element& element, std::string& out);

}  // namespace ebb::graphviz
