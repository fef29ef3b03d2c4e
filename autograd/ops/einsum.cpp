// einsum: the formula is read and checked, then the operands are multiplied one after the other, each pair as a batch of
// matrix products.  It is made of other ops: they are what graphs show, and its gradients are theirs.
#include "../ops.h"
#include "../require.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>

namespace ebb {

using namespace detail;

namespace {

/// What names an axis: a letter, or, from `dots` on, the axes that "..." stands for, counted from the last.
using Label = int;
using Labels = std::vector<Label>;
constexpr Label dots = 1000;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool has(const Labels& labels, Label l) { return std::find(labels.begin(), labels.end(), l) != labels.end(); }

/// One side of a comma: its letters, and how many of them stand before "...", if that is there.
struct Term {
  std::string letters;
  std::optional<std::size_t> before_dots;
};

struct Formula {
  std::vector<Term> operands;
  std::optional<Term> result;
};

std::string text_of(char c) {
  if (c > ' ' && c < 0x7f) return fmt::format("'{}'", c);
  return fmt::format("the byte 0x{:02x}", static_cast<unsigned char>(c));
}

Formula parsed(std::string_view text) {
  Formula formula{{Term{}}, {}};
  require(text.find_first_not_of(' ') != text.npos, Complaint::usage, "the formula is empty");
  for (std::size_t i = 0; i < text.size(); ++i) {
    Term& term = formula.result ? *formula.result : formula.operands.back();
    const std::string_view rest = text.substr(i);
    if (is_letter(text[i])) {
      term.letters += text[i];
    } else if (rest.starts_with("...")) {
      require(!term.before_dots, Complaint::usage, "\"...\" stands twice in one operand");
      term.before_dots = term.letters.size();
      i += 2;
    } else if (rest.starts_with("->")) {
      require(!formula.result, Complaint::usage, "\"->\" stands there twice");
      formula.result = Term{};
      i += 1;
    } else if (text[i] == ',') {
      require(!formula.result, Complaint::usage, "there is one result, without a comma");
      formula.operands.emplace_back();
    } else {
      require(text[i] == ' ', Complaint::usage, "{} at {} is neither a letter nor \",\", \"->\" or \"...\"",
              text_of(text[i]), i);
    }
  }
  return formula;
}

/// The names of a term's axes, where "..." stands for so many.
Labels labels_of(const Term& term, int dotted) {
  Labels labels(term.letters.begin(), term.letters.end());
  if (term.before_dots)
    for (int k = 0; k < dotted; ++k)
      labels.insert(labels.begin() + static_cast<std::ptrdiff_t>(*term.before_dots), dots + k);
  return labels;
}

std::int64_t times(std::int64_t a, std::int64_t b) {
  std::int64_t n = 0;
  require(!__builtin_mul_overflow(a, b, &n), "sizes of {} and {} are more than can be counted", a, b);
  return n;
}

/// An operand, or the product of several, with a name for each axis.
struct Named {
  Tensor t;
  Labels labels;

  int axis(Label l) const { return static_cast<int>(std::find(labels.begin(), labels.end(), l) - labels.begin()); }
  std::int64_t size(Label l) const { return t.shape()[axis(l)]; }
  std::int64_t size(const Labels& some) const {
    std::int64_t n = 1;
    for (const Label l : some) n = times(n, size(l));
    return n;
  }
};

/// With the axes in the given order, which names all of them.
Tensor arranged(const Named& x, const Labels& order) {
  if (x.labels == order) return x.t;
  std::vector<int> axes;
  for (const Label l : order) axes.push_back(x.axis(l));
  return permute(x.t, axes);
}

Labels joined(const Labels& a, const Labels& b, const Labels& c = {}) {
  Labels all = a;
  all.insert(all.end(), b.begin(), b.end());
  all.insert(all.end(), c.begin(), c.end());
  return all;
}

/// Axes of one name become one, their diagonal: of the two flattened, every (n + 1)th number.
Named without_repeats(const Named& x) {
  for (int b = 0; b < x.t.rank(); ++b) {
    const Label repeated = x.labels[static_cast<std::size_t>(b)];
    const int a = x.axis(repeated);
    if (a == b) continue;
    Named rest{x.t, {}};
    std::vector<int> order;
    for (int axis = 0; axis < x.t.rank(); ++axis) {
      if (axis == a || axis == b) continue;
      order.push_back(axis);
      rest.labels.push_back(x.labels[static_cast<std::size_t>(axis)]);
    }
    order.insert(order.end(), {a, b});
    rest.labels.push_back(repeated);
    const std::int64_t n = x.t.shape()[a];
    const Tensor last = a == x.t.rank() - 2 ? x.t : permute(x.t, order);
    rest.t = take(reshape(last, last.shape().without(-1).with(-1, times(n, n))), arange(n) * (n + 1), -1);
    return without_repeats(rest);
  }
  return x;
}

/// Summed over all axes that `keep` does not hold.
Named summed(const Named& x, const Labels& keep) {
  Named y{x.t, {}};
  std::vector<int> gone;
  for (std::size_t i = 0; i < x.labels.size(); ++i)
    if (has(keep, x.labels[i])) y.labels.push_back(x.labels[i]);
    else gone.push_back(static_cast<int>(i));
  if (!gone.empty()) y.t = sum(x.t, gone);
  return y;
}

/// The product, summed over the axes that `keep` does not hold: one matrix product for each place on the axes that both
/// have and `keep` holds.
Named product(const Named& x, const Named& y, const Labels& keep) {
  const Named a = summed(x, joined(y.labels, keep)), b = summed(y, joined(x.labels, keep));
  Labels batch, inner, rows, columns;
  for (const Label l : a.labels) (!has(b.labels, l) ? rows : has(keep, l) ? batch : inner).push_back(l);
  for (const Label l : b.labels)
    if (!has(a.labels, l)) columns.push_back(l);
  const std::int64_t n = a.size(batch), k = a.size(inner), m = a.size(rows), w = b.size(columns);
  const Labels labels = joined(batch, rows, columns);
  require(labels.size() <= std::size_t(Shape::max_rank),
          "a product on the way has {} axes, and a tensor has at most {}", labels.size(), Shape::max_rank);
  std::vector<std::int64_t> sizes;
  for (const Label l : labels) sizes.push_back(has(a.labels, l) ? a.size(l) : b.size(l));
  const Shape shape{std::span<const std::int64_t>(sizes)};

  // Nothing to sum, or nothing but a sum: elementwise.
  if (inner.empty()) {
    const Tensor left = arranged(a, joined(batch, rows)), right = arranged(b, joined(batch, columns));
    return {reshape(reshape(left, {n, m, 1}) * reshape(right, {n, 1, w}), shape), labels};
  }
  if (rows.empty() && columns.empty() && !batch.empty())
    return {sum(reshape(arranged(a, joined(batch, inner)), {n, k}) * reshape(arranged(b, joined(batch, inner)), {n, k}),
                1, false),
            batch};
  // An operand whose axes lie the other way round is read transposed, without a copy.
  const bool ta = a.labels == joined(batch, inner, rows), tb = b.labels == joined(batch, columns, inner);
  const Tensor left = ta ? a.t : arranged(a, joined(batch, rows, inner)),
               right = tb ? b.t : arranged(b, joined(batch, inner, columns));
  const auto matrices = [&](const Tensor& t, std::int64_t r, std::int64_t c) {
    return batch.empty() ? reshape(t, {r, c}) : reshape(t, {n, r, c});
  };
  return {reshape(matmul(ta ? matrices(left, k, m) : matrices(left, m, k),
                         tb ? matrices(right, w, k) : matrices(right, k, w), {ta, tb}),
                  shape),
          labels};
}

/// The formula's operands, each with the names of its axes.  `sizes` gets the size that each name stands for.
std::vector<Named> named(const Formula& formula, const std::vector<Tensor>& operands,
                         std::map<Label, std::int64_t>& sizes) {
  require(formula.operands.size() == operands.size(), Complaint::usage, "operands in the formula: {}, given: {}",
          formula.operands.size(), operands.size());
  DType type = f32;  // products of whole numbers are made f32, as matmul makes them
  for (const Tensor& x : operands) type = promote(type, x.dtype());
  std::vector<Named> all;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    const Term& term = formula.operands[i];
    const int letters = static_cast<int>(term.letters.size()), dotted = operands[i].rank() - letters;
    require(term.before_dots ? dotted >= 0 : dotted == 0, "operand {} has {} axes, and \"{}\" names {}{}", i,
            operands[i].rank(), term.letters, term.before_dots ? "at least " : "", letters);
    all.push_back({operands[i].to(type), labels_of(term, dotted)});
    for (std::size_t axis = 0; axis < all.back().labels.size(); ++axis) {
      const Label l = all.back().labels[axis];
      const std::int64_t n = operands[i].shape()[static_cast<int>(axis)];
      std::int64_t& size = sizes.emplace(l, n).first->second;
      if (l >= dots && size == 1) size = n;
      require(size == n || (l >= dots && n == 1), "{} is {} and {}",
              l >= dots ? "an axis of \"...\"" : text_of(char(l)), size, n);
    }
  }
  return all;
}

/// The names of the result's axes: as the formula says, or all that occur once.
Labels result_of(const Formula& formula, const std::vector<Named>& operands) {
  Labels all;
  for (const Named& x : operands) all.insert(all.end(), x.labels.begin(), x.labels.end());
  const Label most_dots = all.empty() ? 0 : *std::max_element(all.begin(), all.end());
  const int dotted = most_dots < dots ? 0 : most_dots - dots + 1;
  Term term{{}, 0};
  if (formula.result) {
    term = *formula.result;
    for (const char c : term.letters) {
      require(has(all, c), Complaint::usage, "the result has {}, and no operand does", text_of(c));
      require(std::count(term.letters.begin(), term.letters.end(), c) == 1, Complaint::usage, "the result has {} twice",
              text_of(c));
    }
    const auto has_dots = [](const Term& t) { return t.before_dots.has_value(); };
    require(!term.before_dots || std::any_of(formula.operands.begin(), formula.operands.end(), has_dots),
            Complaint::usage, "the result has \"...\", and no operand does");
  } else {
    std::sort(all.begin(), all.end());
    for (const Label l : all)
      if (l < dots && std::count(all.begin(), all.end(), l) == 1) term.letters += static_cast<char>(l);
  }
  const Labels result = labels_of(term, dotted);
  require(result.size() <= std::size_t(Shape::max_rank), "the result would have {} axes, and a tensor has at most {}",
          result.size(), Shape::max_rank);
  return result;
}

Tensor computed(std::string_view text, const std::vector<Tensor>& operands) {
  const Formula formula = parsed(text);
  std::map<Label, std::int64_t> sizes;
  std::vector<Named> all = named(formula, operands, sizes);
  const Labels result = result_of(formula, all);
  for (Named& x : all) {
    for (int axis = x.t.rank() - 1; axis >= 0; --axis) {  // what broadcasts needs no axis
      const auto label = x.labels.begin() + axis;
      if (x.t.shape()[axis] == sizes[*label]) continue;
      x.t = squeeze(x.t, axis);
      x.labels.erase(label);
    }
    x = without_repeats(x);
  }
  Named y = all[0];
  for (std::size_t i = 1; i < all.size(); ++i) {
    Labels keep = result;
    for (std::size_t later = i + 1; later < all.size(); ++later) keep = joined(keep, all[later].labels);
    y = product(y, all[i], keep);
  }
  return arranged(summed(y, result), result);
}

}  // namespace

Tensor einsum(std::string_view formula, const std::vector<Tensor>& operands) {
  for (std::size_t i = 0; i < operands.size(); ++i)
    if (!operands[i].defined()) undefined_operand("einsum", static_cast<int>(i));
  const Attempt attempt;
  try {
    return computed(formula, operands);
  } catch (const Complaint& why) {
    constexpr std::size_t most_letters = 60, most = 5;
    std::string asked =
        fmt::format("einsum(\"{}{}\"", formula.substr(0, most_letters), formula.size() > most_letters ? "..." : "");
    for (std::size_t i = 0; i < std::min(operands.size(), most); ++i) asked += ", " + to_string(operands[i].shape());
    if (operands.size() > most) asked += fmt::format(", +{} more", operands.size() - most);
    refuse(why, asked + ")");
  }
}

}  // namespace ebb
