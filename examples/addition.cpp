// A small transformer learns to add: 4711+0815= is followed by 62550, the digits of the sum from the last to the first.
//
// It must reach: at least 0.99 of the sums right in every digit, of problems with numbers of up to four digits that it
// never saw.  With --short: at least 0.8 with numbers of up to two digits, in seconds.
//
// Of all pairs of numbers, in either order, a tenth that a hash picks is kept from training; only those judge.
// Usage: addition [--short]; writes addition.safetensors (the network), addition.svg (how training went) and
// addition_flow.svg (how gradients flow) into the current folder.
#include "example.h"

#include <ebb/optim/optim.h>
#include <ebb/tools/graphviz.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

using namespace ebb;

namespace {

// ---- problems --------------------------------------------------------------------------------------------------

// Tokens: the digits are their own numbers.
constexpr std::int64_t plus = 10, equals = 11, tokens = 12;

struct Problem {
  std::int64_t a, b;

  /// Whether it judges: the same answer for a+b and b+a, whose sums are no secret to one another.
  bool held_out() const {
    return Generator::bits_at(0, static_cast<std::uint64_t>(std::min(a, b) * 10'000 + std::max(a, b))) % 10 == 0;
  }
};

/// The digits of a number from the last to the first.
std::vector<std::int64_t> digits(std::int64_t number, std::int64_t count) {
  std::vector<std::int64_t> found;
  for (; count > 0; --count, number /= 10) found.push_back(number % 10);
  return found;
}

/// "4711+0815=62550" as tokens: 2·n + 2 of the question, and n + 1 of the answer.
std::vector<std::int64_t> written(const Problem& problem, std::int64_t n) {
  std::vector<std::int64_t> text;
  for (const auto& [number, sign] : {std::pair(problem.a, plus), std::pair(problem.b, equals)}) {
    const std::vector<std::int64_t> reversed = digits(number, n);
    text.insert(text.end(), reversed.rbegin(), reversed.rend());
    text.push_back(sign);
  }
  for (const std::int64_t digit : digits(problem.a + problem.b, n + 1)) text.push_back(digit);
  return text;
}

/// So many random problems of numbers below 10ⁿ: x [count, 3·n + 2] is all but the last token, y [count, n + 1] the sum.
data::Dataset problems(std::int64_t count, std::int64_t n, bool held_out, Generator& generator) {
  std::int64_t most = 1;
  for (std::int64_t i = 0; i < n; ++i) most *= 10;
  std::vector<std::int64_t> all;
  for (std::int64_t made = 0; made < count;) {
    const Problem problem{generator.below(most), generator.below(most)};
    if (problem.held_out() != held_out) continue;
    const std::vector<std::int64_t> text = written(problem, n);
    all.insert(all.end(), text.begin(), text.end());
    ++made;
  }
  const std::int64_t length = 3 * n + 3;
  const Tensor whole = from(all, {count, length});
  return {slice(whole, 0, length - 1, 1), slice(whole, 2 * n + 2, length, 1)};
}

// ---- the network -----------------------------------------------------------------------------------------------

/// Each place looks at those before it, then thinks about what it saw.  x [n, time, dim] -> the same shape.
struct Block {
  nn::LayerNorm before_looking, before_thinking;
  nn::MultiHeadAttention attention;
  nn::Dense wide, narrow;
  nn::Label label{"Block"};

  Block(std::int64_t dim, std::int64_t heads)
      : before_looking(dim),
        before_thinking(dim),
        attention(dim, heads, {.causal = true}),
        wide(dim, 4 * dim),
        narrow(4 * dim, dim) {}

  Tensor operator()(const Tensor& x) const {
    const Scope scope = label.scope();
    const Tensor seen = x + attention(before_looking(x));
    return seen + narrow(relu(wide(before_thinking(seen))));
  }
  EBB_FIELDS(before_looking, before_thinking, attention, wide, narrow, label)
};

/// A text [n, time] -> logits of the digits that follow its sign of equality and each token after that, [n, ..., 10].
struct Adder {
  std::int64_t asked;  // the place of the sign of equality
  nn::Embedding token, place;
  // One is enough: a digit of the sum needs those above it, and those before it, which show what is carried.  With 4 heads
  // some seeds never learned to carry; with 8 each of seven did.
  Block block;
  nn::LayerNorm norm;
  nn::Dense out;

  Adder(std::int64_t digits, std::int64_t dim)
      : asked(2 * digits + 1), token(tokens, dim), place(3 * digits + 2, dim), block(dim, 8), norm(dim), out(dim, 10) {}

  /// What the block is given: [n, time] -> [n, time, dim].
  Tensor read(const Tensor& text) const { return token(text) + place(arange(text.shape()[1])); }
  Tensor operator()(const Tensor& text) const { return out(norm(slice(block(read(text)), asked, text.shape()[1], 1))); }
  EBB_FIELDS(token, place, block, norm, out)
};

/// The sums of problems [n, time], of which it reads what stands before the sums: digits from the last to the first.
Tensor solved(const Adder& adder, const Tensor& text) {
  Tensor so_far = slice(text, 0, adder.asked + 1, 1);
  while (so_far.shape()[1] <= text.shape()[1]) {
    const Tensor next = argmax(adder(so_far), -1);
    so_far = concat({so_far, slice(next, -1, next.shape()[1], 1)}, 1);
  }
  return slice(so_far, adder.asked + 1, so_far.shape()[1], 1);
}

/// The share of sums that are right in every digit.
double all_right(const Tensor& sums, const Tensor& expected) { return mean(min((sums == expected).to(f32), 1)).item(); }

// ---- pictures --------------------------------------------------------------------------------------------------

/// How much each place of a text looks at each other, by the head that looks most.
/// text [1, time] -> [time, time].
Tensor looks(const Adder& adder, const Tensor& text) {
  const nn::MultiHeadAttention& attention = adder.block.attention;
  const Tensor x = adder.block.before_looking(adder.read(text));
  const Tensor all = affine(x, attention.in_proj_weight, attention.in_proj_bias);
  const std::int64_t dim = all.shape()[2] / 3;
  const auto by_head = [&](const Tensor& part) {  // [heads, time, dim / heads]
    return transpose(reshape(part, {text.shape()[1], attention.heads, dim / attention.heads}), 0, 1);
  };
  const Tensor query = by_head(slice(all, 0, dim, 2)), key = by_head(slice(all, dim, 2 * dim, 2));
  return max(nn::attention_weights(query, key, {.causal = true}), 0);
}

/// A problem [1, time] and, below it, a line for each digit of its sum: where the network looks to find that digit.
void show_looks(const Adder& adder, const Tensor& text) {
  const Tensor sum = solved(adder, text);
  const Tensor written = concat({slice(text, 0, adder.asked + 1, 1), sum}, 1);
  for (const std::int64_t token : written.to_vector<std::int64_t>()) std::printf("%c", "0123456789+="[token]);
  const Tensor weights = looks(adder, slice(written, 0, text.shape()[1], 1));
  for (std::int64_t digit = 0; digit < sum.size(); ++digit) {
    std::printf("\n");
    for (std::int64_t i = 0; i < text.size(); ++i)
      std::printf("%c", " .:#"[static_cast<int>(3.99 * weights(adder.asked + digit, i).value())]);
    std::printf("  %d", static_cast<int>(sum(0, digit).value()));
  }
}

/// One batch forward and backward under observation, drawn.
void draw(const Adder& adder, const data::Dataset& batch, const std::string& file) {
  Graph graph;
  graph.observe();
  nn::cross_entropy(adder(batch.x), batch.y).backward();
  graphviz::render(graph, file, {.title = "How gradients flow through a network that adds"});
}

/// What is learned, and how.
struct Plan {
  std::int64_t digits, dim, problems, epochs;
  double must_reach;
};
constexpr Plan whole{4, 64, 38'400, 8, 0.99};
constexpr Plan brief{2, 32, 12'800, 10, 0.8};
constexpr std::int64_t batch = 64;

std::string here(const std::string& file) { return std::filesystem::absolute(file).string(); }

}  // namespace

int main(int argc, char** argv) try {
  const Plan plan = Request(argc, argv).brief ? brief : whole;
  Generator generator(1);
  const data::Dataset train = problems(plan.problems, plan.digits, false, generator);
  const data::Dataset validation = problems(500, plan.digits, true, generator);
  const data::Dataset test = problems(2000, plan.digits, true, generator);

  seed(1);
  Adder adder(plan.digits, plan.dim);
  std::printf("%s\n\n", nn::summary(adder).c_str());
  const std::int64_t steps = plan.epochs * (plan.problems / batch), rising = 100;
  optim::AdamW adam(adder, {.lr = 5e-3});
  const optim::Scheduler scheduler(optim::warm_up({.steps = rising}, optim::cosine({.steps = steps - rising})),
                                   {.each_step = true});
  const auto right = [](const Tensor& logits, const Tensor& sums) { return all_right(argmax(logits, -1), sums); };
  optim::Trainer trainer(adder, adam, {.loss = nn::cross_entropy, .metrics = {{"right", right}}});
  const optim::History history = trainer.fit(train, {.epochs = plan.epochs,
                                                     .batch = batch,
                                                     .seed = 1,
                                                     .validation_data = validation,
                                                     .clip_norm = 1,
                                                     .callbacks = {scheduler}});

  const double result = all_right(solved(adder, test.x), test.y);
  std::printf("\n%lld problems that it never saw: %.2f %% right in every digit.  Where it looks:\n\n",
              static_cast<long long>(test.size()), 100 * result);
  show_looks(adder, slice(test.x, 0, 1));

  nn::save(adder, "addition.safetensors");
  history.svg("addition.svg");
  draw(adder, train.rows(0, 8), "addition_flow.svg");
  std::printf("\n\n%-22s  %s\n", "the network", here("addition.safetensors").c_str());
  std::printf("%-22s  %s\n", "how training went", here("addition.svg").c_str());
  std::printf("%-22s  %s\n", "how gradients flow", here("addition_flow.svg").c_str());
  return verdict("addition", "the share of right sums", result, plan.must_reach);
} catch (const Error& error) {
  std::fprintf(stderr, "addition: %s\n", error.what());
  return 1;
}
