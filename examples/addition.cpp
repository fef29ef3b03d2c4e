// A small transformer learns to add: 345+678= is followed by 3201, the digits of the sum from the last to the first.
//
// It must reach: at least 0.99 of the sums right in every digit, on problems with numbers of three digits that it never
// saw.  With --short: at least 0.5 with numbers of two digits, in seconds.
//
// Of all pairs of numbers, in either order, a tenth that a hash picks is kept from training; only those judge.
// Usage: addition [--short]; writes addition.safetensors (the network) and addition.svg (how training went) into the
// current folder.
#include "example.h"

#include <ebb/optim/optim.h>
#include <ebb/tools/graphviz.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
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

/// "345+678=" and the digits of the sum: 2·n + 2 tokens, and n + 1.
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

/// So many random problems: x is all but the last digit of the sum, y the sum.
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

/// A text [n, time] -> logits of what follows its sign of equality and each token after that [n, time - 2·digits - 1, 10].
struct Adder {
  std::int64_t asked;  // the place of the sign of equality
  nn::Embedding token, place;
  std::vector<Block> blocks;
  nn::LayerNorm norm;
  nn::Dense out;

  Adder(std::int64_t digits, std::int64_t dim, std::int64_t heads, std::int64_t depth)
      : asked(2 * digits + 1), token(tokens, dim), place(3 * digits + 2, dim), norm(dim), out(dim, 10) {
    for (std::int64_t i = 0; i < depth; ++i) blocks.emplace_back(dim, heads);
  }

  Tensor operator()(const Tensor& text) const {
    const std::int64_t time = text.shape()[1];
    Tensor x = token(text) + place(arange(time));
    for (const Block& block : blocks) x = block(x);
    return out(norm(slice(x, asked, time, 1)));
  }
  EBB_FIELDS(token, place, blocks, norm, out)
};

/// The sums of problems [n, time], of which it reads what stands before the sums: digits from the last to the first.
Tensor solved(const Adder& adder, const Tensor& text) {
  Tensor so_far = slice(text, 0, adder.asked + 1, 1);
  for (std::int64_t i = text.shape()[1]; i >= adder.asked + 1; --i) {
    const Tensor next = argmax(adder(so_far), -1);
    so_far = concat({so_far, slice(next, -1, next.shape()[1], 1)}, 1);
  }
  return slice(so_far, adder.asked + 1, so_far.shape()[1], 1);
}

/// The share of sums that are right in every digit.
double right(const Tensor& sums, const Tensor& expected) {
  return mean(min((sums == expected).to(f32), 1)).item();
}

double env(const char* n, double d) { const char* s = std::getenv(n); return s ? std::atof(s) : d; }

}  // namespace

int main(int argc, char** argv) try {
  const Request request(argc, argv);
  set_num_threads(1);
  Generator generator(1);
  const std::int64_t n = std::int64_t(env("N", 3));
  const data::Dataset train = problems(std::int64_t(env("TRAIN", 25600)), n, false, generator), test = problems(2000, n, true, generator);
  seed(std::uint64_t(env("SEED", 1)));
  Adder adder(n, std::int64_t(env("DIM", 64)), std::int64_t(env("HEADS", 4)), std::int64_t(env("DEPTH", 2)));
  const std::int64_t epochs = std::int64_t(env("EPOCHS", 10)), batch = std::int64_t(env("BATCH", 128));
  optim::AdamW adam(adder, {.lr = env("LR", 2e-3)});
  const std::int64_t steps = epochs * (train.size() / batch);
  const auto all_right = [](const Tensor& logits, const Tensor& sums) { return right(argmax(logits, -1), sums); };
  optim::Trainer trainer(adder, adam, {.loss = nn::cross_entropy, .metrics = {{"right", all_right}}});
  const auto t0 = std::clock();
  trainer.fit(train, {.epochs = epochs, .batch = batch, .seed = 1, .validation_data = test.rows(0, 500), .clip_norm = 1, .callbacks = {
    optim::Scheduler(optim::warm_up({.steps = 100, .start = 0.1}, optim::cosine({.steps = steps - 100, .floor = 0.01})), {.each_step = true})}});
  std::printf("%.1f s cpu\n", double(std::clock() - t0) / CLOCKS_PER_SEC);
  std::printf("%.4f right\n", right(solved(adder, test.x), test.y));
  return 0;
} catch (const Error& error) {
  std::fprintf(stderr, "addition: %s\n", error.what());
  return 1;
}
