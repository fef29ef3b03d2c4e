// What the tests of SVGs share.
#pragma once

#include "graphs.h"

#include <ebb/tools/graphviz/xml.h>

#include <functional>
#include <string>

namespace ebb::graphs {

inline Trace mlp_trace() {
  const Mlp model;
  Graph graph;
  graph.observe();
  model.loss().backward();
  return trace(graph);
}

inline std::string svg_of(const Trace& trace, const DotOptions& options = {}) {
  const Folder folder;
  render(trace, folder / "picture.svg", options);
  return read(folder / "picture.svg");
}

inline const Element* find_id(const Element& element, const std::string& id) {
  if (element.get("id") == id) return &element;
  for (const Element& child : element.children)
    if (const Element* const found = find_id(child, id)) return found;
  return nullptr;
}

inline void each_element(const Element& element, const std::function<void(const Element&)>& f) {
  f(element);
  for (const Element& child : element.children) each_element(child, f);
}

}  // namespace ebb::graphs
