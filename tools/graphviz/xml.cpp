#include "xml.h"

#include "../../autograd/error.h"

#include <algorithm>

namespace ebb::graphviz {

namespace {

constexpr std::string_view blanks = " \t\r\n";

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  Element document() {
    Element outside;
    while (at_ < text_.size()) read_into(outside);
    const auto found = std::find_if(outside.children.begin(), outside.children.end(),
                                    [](const Element& e) { return !e.name.empty(); });
    if (!open_.empty() || found == outside.children.end()) fail();
    return std::move(*found);
  }

 private:
  [[noreturn]] static void fail() { throw IoError("graphviz: dot wrote an SVG that cannot be read"); }

  std::string_view until(std::string_view end) {
    const std::size_t found = text_.find(end, at_);
    if (found == std::string_view::npos) fail();
    const std::string_view part = text_.substr(at_, found - at_);
    at_ = found + end.size();
    return part;
  }

  // The next tag or text becomes a child of the innermost element that is open.
  void read_into(Element& outside) {
    Element& parent = open_.empty() ? outside : open_.back();
    if (text_[at_] != '<') {
      const std::string_view text = text_.substr(at_, text_.find('<', at_) - at_);
      at_ += text.size();
      // dot breaks lines between elements; text of its own never spans one.
      const bool between = text.find('\n') != std::string_view::npos && text.find_first_not_of(blanks) == text.npos;
      if (between) return;
      parent.children.emplace_back();
      parent.children.back().text = text;
      return;
    }
    const std::string_view rest = text_.substr(at_);
    if (rest.substr(0, 4) == "<!--") return static_cast<void>(until("-->"));
    if (rest.substr(0, 2) == "<?" || rest.substr(0, 2) == "<!") return static_cast<void>(until(">"));
    if (rest.substr(0, 2) == "</") {
      at_ += 2;
      if (open_.empty() || until(">") != open_.back().name) fail();
      close(outside);
      return;
    }
    open_.push_back(start_tag());
    if (text_.substr(at_, 2) == "/>") {
      at_ += 2;
      close(outside);
    } else if (text_.substr(at_, 1) == ">") {
      ++at_;
    } else {
      fail();
    }
  }

  void close(Element& outside) {
    Element done = std::move(open_.back());
    open_.pop_back();
    (open_.empty() ? outside : open_.back()).children.push_back(std::move(done));
  }

  Element start_tag() {
    Element element;
    const std::size_t end = text_.find_first_of(" \t\r\n/>", ++at_);
    if (end == std::string_view::npos || end == at_) fail();
    element.name = text_.substr(at_, end - at_);
    for (at_ = end;;) {
      at_ = std::min(text_.find_first_not_of(blanks, at_), text_.size());
      if (at_ == text_.size()) fail();
      if (text_[at_] == '>' || text_[at_] == '/') return element;
      std::string name(until("=\""));
      element.attributes.emplace_back(std::move(name), until("\""));
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<Element> open_;
};

}  // namespace

std::string_view Element::get(std::string_view attribute) const {
  for (const auto& [key, value] : attributes)
    if (key == attribute) return value;
  return {};
}

void Element::set(std::string_view attribute, std::string value) {
  for (auto& [key, old] : attributes)
    if (key == attribute) return static_cast<void>(old = std::move(value));
  attributes.emplace_back(attribute, std::move(value));
}

void Element::add_class(std::string_view word) {
  const std::string_view before = get("class");
  set("class", before.empty() ? std::string(word) : std::string(before) + ' ' + std::string(word));
}

bool Element::has_class(std::string_view word) const {
  const std::string all = ' ' + std::string(get("class")) + ' ';
  return all.find(' ' + std::string(word) + ' ') != std::string::npos;
}

Element read_xml(std::string_view text) { return Reader(text).document(); }

void write_xml(const Element& element, std::string& out) {
  if (element.name.empty()) {
    out += element.text;
    return;
  }
  out += '<' + element.name;
  for (const auto& [key, value] : element.attributes) out += ' ' + key + "=\"" + value + '"';
  if (element.children.empty()) {
    out += "/>";
    return;
  }
  out += '>';
  for (const Element& child : element.children) {
    if (!child.name.empty()) out += '\n';
    write_xml(child, out);
  }
  if (!element.children.back().name.empty()) out += '\n';
  out += "</" + element.name + '>';
}

}  // namespace ebb::graphviz
