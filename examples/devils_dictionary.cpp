// A network that reads The Devil's Dictionary letter by letter, and writes more of it.
//
// It must reach: fewer bits per character, on entries that it never saw, than a 5-gram model with Kneser and Ney's
// smoothing.  With --short: a small network, trained for seconds, and a 2-gram model.
//
// The book is in alphabetical order, so its last tenth would be all of words from T on.  Parts are therefore whole
// entries: of ten in a row the fifth validates and the tenth judges.  By the validation part were chosen: the network's
// size and options, the epoch that is judged, and the discounts of the n-gram model.
// Usage: devils_dictionary [--short] [text, may be gzip-packed]; writes devils_dictionary.safetensors (the network) and
// devils_dictionary.svg (how training went) into the current folder.
#include "example.h"

#include <ebb/optim/optim.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <map>
#include <numeric>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

using namespace ebb;

namespace {

// ---- the text --------------------------------------------------------------------------------------------------

/// Characters by their numbers in the alphabet.
using Codes = std::vector<std::int64_t>;

/// The characters that occur in a text, numbered in their order.
struct Alphabet {
  std::string characters;

  explicit Alphabet(std::string text) : characters(std::move(text)) {
    std::sort(characters.begin(), characters.end());
    characters.erase(std::unique(characters.begin(), characters.end()), characters.end());
  }
  std::int64_t size() const { return static_cast<std::int64_t>(characters.size()); }
  std::int64_t code(char c) const { return static_cast<std::int64_t>(characters.find(c)); }
  char character(std::int64_t code) const { return characters[std::size_t(code)]; }
};

/// The entries of the dictionary, each with the verse that belongs to it: "ABATIS, n.  Rubbish in front of a fort, ..."
std::vector<Codes> entries(std::string_view text, const Alphabet& alphabet) {
  const auto capital = [&](std::size_t i) { return i < text.size() && text[i] >= 'A' && text[i] <= 'Z'; };
  std::vector<Codes> found(1);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool after_empty_line = i >= 2 && text[i - 1] == '\n' && text[i - 2] == '\n';
    if (after_empty_line && capital(i) && capital(i + 1)) found.emplace_back();
    found.back().push_back(alphabet.code(text[i]));
  }
  return found;
}

Codes joined(const std::vector<Codes>& parts) {
  Codes all;
  for (const Codes& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

// ---- the rival -------------------------------------------------------------------------------------------------

/// Guesses a character from the `order` - 1 before it: interpolated Kneser-Ney smoothing with three discounts for each
/// order.  Source: Chen & Goodman 1999, "An empirical study of smoothing techniques for language modeling".
class NGram {
 public:
  NGram(const Codes& text, std::size_t order, std::int64_t symbols)
      : orders_(order), symbols_(static_cast<double>(symbols)) {
    // The highest order counts what occurs; each below counts how many different characters come before.
    for (std::size_t n = order; n >= 1; --n) {
      Order& at = orders_[n - 1];
      if (n == order)
        for (std::size_t end = n; end <= text.size(); ++end) ++at.counts[key(text, end, n)];
      else
        for (const auto& [gram, count] : orders_[n].counts) ++at.counts[gram % power(n)];
      std::array<double, 5> seen{};  // how many grams were seen once, twice, ...
      for (const auto& [gram, count] : at.counts) {
        Context& context = at.contexts[gram / base];
        context.total += count;
        ++context.kinds[std::size_t(std::min(count, 3)) - 1];
        if (count < 5) ++seen[std::size_t(count)];
      }
      const double y = seen[1] / (seen[1] + 2 * seen[2]);
      for (std::size_t c = 1; c <= 3; ++c) {
        const double guess = static_cast<double>(c) - static_cast<double>(c + 1) * y * seen[c + 1] / seen[c];
        at.discounts[c - 1] = guess > 0 && guess < static_cast<double>(c) ? guess : 0.5;
      }
    }
  }

  /// Bits per character.
  double bits(const Codes& text) const { return bits(evidence(text)); }

  /// Moves one discount after the other as long as the text is guessed better.
  void tune(const Codes& text) {
    const std::vector<Evidence> all = evidence(text);
    double best = bits(all);
    for (int round = 0; round < 3; ++round)
      for (Order& order : orders_)
        for (std::size_t k = 0; k < 3; ++k)
          for (const double factor : {0.6, 0.8, 0.9, 1.1, 1.25, 1.6}) {
            const double before = order.discounts[k];
            order.discounts[k] = std::min(before * factor, static_cast<double>(k + 1));
            const double now = bits(all);
            if (now < best) best = now;
            else order.discounts[k] = before;
          }
  }

 private:
  static constexpr std::uint64_t base = 128;
  struct Context {
    double total = 0;
    std::array<double, 3> kinds{};  // how many different characters followed it once, twice, more often
  };
  struct Order {
    std::unordered_map<std::uint64_t, int> counts;
    std::unordered_map<std::uint64_t, Context> contexts;
    std::array<double, 3> discounts{};  // of what was counted once, twice, more often
  };
  // What is known about a character in its place, from the lowest order up, as far as its context was seen.
  struct Evidence {
    std::vector<std::pair<int, const Context*>> by_order;
  };

  static std::uint64_t power(std::size_t n) { return n == 0 ? 1 : base * power(n - 1); }
  // The n characters before `end` as one number.
  static std::uint64_t key(const Codes& text, std::size_t end, std::size_t n) {
    std::uint64_t gram = 0;
    for (std::size_t i = end - n; i < end; ++i) gram = gram * base + static_cast<std::uint64_t>(text[i]);
    return gram;
  }

  std::vector<Evidence> evidence(const Codes& text) const {
    std::vector<Evidence> all(text.size());
    for (std::size_t i = 0; i < text.size(); ++i)
      for (std::size_t n = 1; n <= std::min(orders_.size(), i + 1); ++n) {
        const Order& order = orders_[n - 1];
        const std::uint64_t gram = key(text, i + 1, n);
        const auto context = order.contexts.find(gram / base);
        if (context == order.contexts.end()) break;
        const auto count = order.counts.find(gram);
        all[i].by_order.emplace_back(count == order.counts.end() ? 0 : count->second, &context->second);
      }
    return all;
  }

  double bits(const std::vector<Evidence>& all) const {
    double sum = 0;
    for (const Evidence& evidence : all) {
      double p = 1 / symbols_;
      for (std::size_t n = 0; n < evidence.by_order.size(); ++n) {
        const auto& [count, context] = evidence.by_order[n];
        const std::array<double, 3>& d = orders_[n].discounts;
        const double held_back = d[0] * context->kinds[0] + d[1] * context->kinds[1] + d[2] * context->kinds[2];
        const double kept = count == 0 ? 0 : count - d[std::size_t(std::min(count, 3)) - 1];
        p = (kept + held_back * p) / context->total;
      }
      sum -= std::log2(p);
    }
    return sum / static_cast<double>(all.size());
  }

  std::vector<Order> orders_;  // orders_[0] knows no context
  double symbols_;
};

// ---- the network -----------------------------------------------------------------------------------------------

/// Characters [batch, time] -> logits of the characters that follow [batch, time, symbols].
struct Writer {
  nn::Embedding embedding;
  nn::LSTM lstm;
  nn::Dropout dropout;
  nn::Dense out;

  Writer(std::int64_t symbols, std::int64_t hidden, double drop, std::int64_t emb, std::int64_t layers, double dl)
      : embedding(symbols, emb),
        lstm(emb, hidden, {.layers = layers, .sequences = true, .dropout = dl}),
        dropout(drop),
        out(hidden, symbols) {}

  /// Reads on from a state, and leaves the state it ends with there.
  Tensor operator()(const Tensor& x, nn::State& state) const {
    auto [outputs, last] = lstm.run(dropout(embedding(x)), state);
    state = last;
    return out(dropout(outputs));
  }
  EBB_FIELDS(embedding, lstm, dropout, out)
};

/// A text side by side: as many streams as there are rows, each cut into windows of some characters.  What follows a
/// window of one stream stands in the same row of the next.
class Streams {
 public:
  Streams(const Codes& text, std::int64_t rows, std::int64_t window, std::int64_t newline) : rows_(rows), window_(window) {
    length_ = (static_cast<std::int64_t>(text.size()) + rows - 1) / rows;
    inputs_.assign(std::size_t(rows * length_), newline);
    targets_.assign(std::size_t(rows * length_), -100);  // which cross_entropy ignores: the last row's rest
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (i > 0) inputs_[i] = text[i - 1];
      targets_[i] = text[i];
    }
  }

  std::int64_t windows() const { return (length_ + window_ - 1) / window_; }
  Tensor x(std::int64_t i) const { return cut(inputs_, i); }
  Tensor y(std::int64_t i) const { return cut(targets_, i); }

 private:
  Tensor cut(const Codes& codes, std::int64_t i) const {  // [rows, at most window]
    return slice(from(codes, {rows_, length_}), i * window_, std::min((i + 1) * window_, length_), 1);
  }

  Codes inputs_, targets_;
  std::int64_t rows_, window_, length_;
};

const double bit = std::log(2.0);

/// Bits per character; every character is guessed from what comes before it.
double bits(const Writer& writer, const Codes& text, std::int64_t newline) {
  const Streams streams(text, 16, 64, newline);
  nn::State state;
  double sum = 0;
  for (std::int64_t i = 0; i < streams.windows(); ++i)
    sum += nn::cross_entropy(writer(streams.x(i), state), streams.y(i), {.reduction = nn::Reduction::sum}).item();
  return sum / bit / static_cast<double>(text.size());
}

/// Writes until it ends a line, or so many characters.  A temperature below 1 makes it prefer what is likely.
std::string written(const Writer& writer, const Alphabet& alphabet, std::size_t most, double temperature,
                    std::uint64_t seed) {
  Generator generator(seed);
  nn::State state;
  std::string text = "\n\n";
  for (const char c : std::string("\n")) writer(from(Codes{alphabet.code(c)}, {1, 1}), state);
  while (text.size() < most + 2) {
    const Tensor logits = writer(from(Codes{alphabet.code(text.back())}, {1, 1}), state);
    const auto p = softmax(flatten(logits) / temperature).to_vector<double>();
    double left = generator.uniform();
    std::size_t next = 0;
    while (next + 1 < p.size() && (left -= p[next]) > 0) ++next;
    text += alphabet.character(static_cast<std::int64_t>(next));
  }
  return text.substr(2);
}

double env(const char* n, double d) { const char* s = std::getenv(n); return s ? std::atof(s) : d; }

}  // namespace

int main(int argc, char** argv) try {
  const Request request(argc, argv);
  set_num_threads(1);
  const std::string text =
      data::read_text(request.data.empty() ? EBB_SOURCE_ROOT "/examples/data/devils_dictionary.txt.gz" : request.data);
  const Alphabet alphabet(text);
  std::vector<Codes> train, validation, test;
  const std::vector<Codes> all = entries(text, alphabet);
  for (std::size_t i = 0; i < all.size(); ++i) (i % 10 == 4 ? validation : i % 10 == 9 ? test : train).push_back(all[i]);
  const std::int64_t newline = alphabet.code('\n');

  for (std::size_t order : {2}) {
    NGram rival(joined(train), order, alphabet.size());
    rival.tune(joined(validation));
    std::printf("%zu-gram %.4f %.4f\n", order, rival.bits(joined(validation)), rival.bits(joined(test)));
  }

  seed(std::uint64_t(env("SEED", 1)));
  Writer writer(alphabet.size(), std::int64_t(env("H", 256)), env("DROP", 0.3), std::int64_t(env("E", 64)), std::int64_t(env("L", 1)), env("DL", 0.0));
  const std::int64_t epochs = std::int64_t(env("EPOCHS", 10)), rows = std::int64_t(env("ROWS", 32)), window = std::int64_t(env("T", 50));
  optim::AdamW adam(writer, {.lr = env("LR", 3e-3), .weight_decay = env("WD", 0.01)});
  const std::int64_t steps = epochs * Streams(joined(train), rows, window, newline).windows();
  optim::Schedule schedule(adam, optim::warm_up({.steps = 100, .start = 0.1}, optim::cosine({.steps = steps - 100, .floor = 0.01})));
  Writer average = writer;
  const double ema = env("EMA", 0.99);
  Generator order(1);
  const int most = int(env("MAX", 1e9));
  for (std::int64_t epoch = 1; epoch <= epochs; ++epoch) {
    const auto t0 = std::clock();
    std::vector<Codes> mixed;
    for (const std::int64_t i : randperm(std::int64_t(train.size()), order).to_vector<std::int64_t>()) mixed.push_back(train[std::size_t(i)]);
    const Streams streams(joined(mixed), rows, window, newline);
    nn::State state;
    double sum = 0;
    int done = 0;
    for (std::int64_t i = 0; i < streams.windows() && done < most; ++i, ++done) {
      Graph graph;
      const Tensor loss = nn::cross_entropy(writer(streams.x(i), state), streams.y(i));
      loss.backward();
      optim::clip_grad_norm(adam.parameters(), 1.0);
      adam.step();
      schedule.step();
      if (ema > 0) optim::ema_update(average, writer, ema);
      sum += loss.item();
    }
    const double train_s = double(std::clock() - t0) / CLOCKS_PER_SEC;
    std::printf("epoch %lld  train %.4f  val %.4f", (long long)epoch, sum / bit / done, bits(writer, joined(validation), newline));
    if (ema > 0) std::printf("  ema %.4f", bits(average, joined(validation), newline));
    const double s = double(std::clock() - t0) / CLOCKS_PER_SEC;
    std::printf("   %.1f s cpu (+ %.1f)\n", train_s, s - train_s);
    std::printf("   %s\n", written(ema > 0 ? average : writer, alphabet, 70, 0.7, std::uint64_t(epoch)).c_str());
    std::fflush(stdout);
    if (done >= most) break;
  }
  return 0;
} catch (const Error& error) {
  std::fprintf(stderr, "devils_dictionary: %s\n", error.what());
  return 1;
}
