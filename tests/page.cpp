// Writes a page for page.py: page file.html
#define DOCTEST_CONFIG_IMPLEMENT
#include "graphs.h"

using namespace ebb;
using namespace ebb::graphs;

int main(int count, char** arguments) {
  if (count != 2) return 2;
  const std::string hostile = "</script><!--";
  const Layer first("encoder.first", 6, 8, 1), second("encoder." + hostile, 8, 4, 2), last("head", 4, 1, 3);
  Graph graph;
  graph.observe();
  mean(square(last(relu(second(relu(first(numbers({16, 6}, 1, 1)))))))).backward();
  DotOptions options;
  options.title = "A page for " + hostile;
  render(graph, arguments[1], options);
  return 0;
}
