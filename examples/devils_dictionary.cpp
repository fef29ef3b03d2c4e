// A network that reads The Devil's Dictionary letter by letter, and writes more of it.
//
// It must reach: fewer bits per character, on entries that it never saw, than a 5-gram model with Kneser and Ney's
// smoothing.  With --short: a small network, trained for seconds, and a 2-gram model.
//
// The book is in alphabetical order, so its last tenth would be all of words from T on.  Parts are therefore whole
// entries: of ten in a row the fifth validates and the tenth judges.  By the validation part were chosen: the network's
// size and options, the epoch that is judged, and the discounts of the n-gram model.
// Usage: devils_dictionary [--short] [text, may be gzip-packed]; writes devils_dictionary.safetensors (the network),
// devils_dictionary.svg (how training went) and devils_dictionary_flow.svg (how gradients flow) into the current folder.
#include "example.h"

#include <ebb/optim/optim.h>
#include <ebb/tools/graphviz.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

using namespace ebb;

namespace {

// ---- the text --------------------------------------------------------------------------------------------------

/// Characters by their numbers in the alphabet.
using Codes = std::vector<std::int64_t>;

/// The characters that occur in a text, and the end of a line, numbered in their order.
struct Alphabet {
  std::string characters;

  explicit Alphabet(const std::string& text) : characters(text + '\n') {
    std::sort(characters.begin(), characters.end());
    characters.erase(std::unique(characters.begin(), characters.end()), characters.end());
  }
  std::int64_t size() const { return static_cast<std::int64_t>(characters.size()); }
  /// A character that does not occur counts as the end of a line.
  std::int64_t code(char c) const {
    const std::size_t found = characters.find(c);
    return static_cast<std::int64_t>(found == std::string::npos ? characters.find('\n') : found);
  }
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

struct Parts {
  std::vector<Codes> train;
  Codes validation, test;

  Parts(const std::string& text, const Alphabet& alphabet) {
    const std::vector<Codes> all = entries(text, alphabet);
    if (all.size() < 10) throw UsageError("the text must have at least ten entries, each after an empty line");
    std::vector<Codes> validates, judges;
    for (std::size_t i = 0; i < all.size(); ++i)
      (i % 10 == 4 ? validates : i % 10 == 9 ? judges : train).push_back(all[i]);
    validation = joined(validates);
    test = joined(judges);
  }
};

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
  static constexpr std::uint64_t base = 256;  // so that seven characters and more fit into a key
  struct Context {
    double total = 0;
    std::array<double, 3> kinds{};  // how many different characters followed it once, twice, more often
  };
  struct Order {
    std::unordered_map<std::uint64_t, int> counts;
    std::unordered_map<std::uint64_t, Context> contexts;
    std::array<double, 3> discounts{};  // of what was counted once, twice, more often
  };
  // Of a character in its place: its count and its context, from the lowest order up, as far as the context was seen.
  using Evidence = std::vector<std::pair<int, const Context*>>;

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
        all[i].emplace_back(count == order.counts.end() ? 0 : count->second, &context->second);
      }
    return all;
  }

  double bits(const std::vector<Evidence>& all) const {
    double sum = 0;
    for (const Evidence& evidence : all) {
      double p = 1 / symbols_;
      for (std::size_t n = 0; n < evidence.size(); ++n) {
        const auto& [count, context] = evidence[n];
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

/// Characters [rows, time] -> logits of those that follow [rows, time, symbols].
struct Writer {
  nn::Embedding embedding;
  nn::LSTM lstm;
  nn::Dropout dropout{0.3};
  nn::Dense out;

  Writer(std::int64_t symbols, std::int64_t hidden)
      : embedding(symbols, hidden / 4), lstm(hidden / 4, hidden, {.sequences = true}), out(hidden, symbols) {}

  /// Reads on from a state, and leaves the one that it ends with there.
  Tensor operator()(const Tensor& x, nn::State& state) const {
    auto [outputs, last] = lstm.run(embedding(x), state);
    state = last;
    return out(dropout(outputs));
  }
  EBB_FIELDS(embedding, lstm, dropout, out)
};

/// A text in rows of one length, which are read side by side in windows of so many characters: a row goes on in the next
/// window where it stopped in this.
class Streams {
 public:
  Streams(const Codes& text, const Alphabet& alphabet, std::int64_t rows, std::int64_t window) : window_(window) {
    const auto size = static_cast<std::int64_t>(text.size());
    length_ = (size + rows - 1) / rows;
    const auto rest = static_cast<std::size_t>(rows * length_ - size);
    Codes before{alphabet.code('\n')}, after = text;
    before.insert(before.end(), text.begin(), text.end() - 1);
    before.insert(before.end(), rest, 0);
    after.insert(after.end(), rest, -100);  // which cross_entropy() ignores
    x_ = from(before, {rows, length_});
    y_ = from(after, {rows, length_});
  }

  std::int64_t windows() const { return (length_ + window_ - 1) / window_; }
  /// The characters of a window, and those that follow them: [rows, at most window].
  data::Batch window(std::int64_t i) const {
    const std::int64_t begin = i * window_, end = std::min(begin + window_, length_);
    return {slice(x_, begin, end, 1), slice(y_, begin, end, 1)};
  }

 private:
  Tensor x_, y_;
  std::int64_t window_, length_;
};

/// Bits per character: each is guessed from those before it.
double bits(const Writer& writer, const Codes& text, const Alphabet& alphabet) {
  const Streams streams(text, alphabet, 16, 64);
  nn::State state;
  double sum = 0;
  for (std::int64_t i = 0; i < streams.windows(); ++i) {
    const auto [x, y] = streams.window(i);
    sum += nn::cross_entropy(writer(x, state), y, {.reduction = nn::Reduction::sum}).item();
  }
  return sum / std::log(2.0) / static_cast<double>(text.size());
}

/// What it writes after a beginning, until an empty line or so many characters.
std::string written(const Writer& writer, const Alphabet& alphabet, std::string text, std::size_t most,
                    Generator& generator) {
  constexpr double temperature = 0.7;  // below 1 it prefers what is likely
  nn::State state;
  const auto read = [&](char c) { return flatten(writer(from(Codes{alphabet.code(c)}, {1, 1}), state)); };
  Tensor logits = read('\n');
  for (const char c : text) logits = read(c);
  while (text.size() < most && !text.ends_with("\n\n")) {
    const std::vector<double> p = softmax(logits / temperature).to_vector<double>();
    double left = generator.uniform();
    std::size_t next = 0;
    while (next + 1 < p.size() && (left -= p[next]) > 0) ++next;
    text += alphabet.characters[next];
    logits = read(text.back());
  }
  return text;
}

/// What is trained, how, and against whom.
struct Plan {
  std::int64_t hidden, epochs;
  double lr;
  std::size_t rival;  // its order
};
constexpr Plan whole{256, 20, 3e-3, 5};
constexpr Plan brief{64, 2, 1e-2, 2};
constexpr std::int64_t rows = 16, window = 64, patience = 3;

/// Trains the writer, and leaves in it what was best for the validation part: a mean over the last hundred steps or so,
/// which guesses better than the weights of any one step.
optim::History train(Writer& writer, const Parts& parts, const Alphabet& alphabet, const Plan& plan) {
  const std::int64_t windows = Streams(joined(parts.train), alphabet, rows, window).windows();
  const std::int64_t steps = plan.epochs * windows, rising = std::min<std::int64_t>(100, steps / 2);
  optim::AdamW adam(writer, {.lr = plan.lr});
  optim::Schedule schedule(adam, optim::warm_up({.steps = rising}, optim::cosine({.steps = steps - rising})));
  Writer average = writer, best = writer;
  double least = std::numeric_limits<double>::infinity();
  std::int64_t best_epoch = 0;
  Generator order(1), chance(1);
  optim::History history;
  optim::Progress progress(stdout, plan.epochs, windows, optim::terminal_columns(stdout));
  for (std::int64_t epoch = 1; epoch <= plan.epochs; ++epoch) {
    const auto start = std::chrono::steady_clock::now();
    // The entries in another order each time, so that the network does not learn which of them are neighbours.
    std::vector<Codes> mixed;
    for (const std::int64_t i : randperm(std::ssize(parts.train), order).to_vector<std::int64_t>())
      mixed.push_back(parts.train[std::size_t(i)]);
    const Streams streams(joined(mixed), alphabet, rows, window);
    nn::State state;
    double sum = 0;
    for (std::int64_t i = 0; i < windows; ++i) {
      const auto [x, y] = streams.window(i);
      Graph graph;  // what it remembers of earlier windows is a constant here: gradients end where the graph begins
      const Tensor loss = nn::cross_entropy(writer(x, state), y);
      loss.backward();
      optim::clip_grad_norm(adam.parameters(), 1);
      adam.step();
      schedule.step();
      optim::ema_update(average, writer, 0.99);
      sum += loss.item() / std::log(2.0);
      progress.batch(epoch, i + 1, std::vector<optim::Reading>{{"bits", sum / static_cast<double>(i + 1)}});
    }
    const double judged = bits(average, parts.validation, alphabet);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    const std::vector<optim::Reading> readings{{"bits", sum / static_cast<double>(windows)}, {"val_bits", judged}};
    history.add(readings);
    progress.epoch(epoch, readings, seconds.count());
    // A word that the book does not have.
    std::string line = written(average, alphabet, "NETWORK, n.  ", 100, chance);
    std::replace(line.begin(), line.end(), '\n', ' ');
    std::printf("    %s\n", line.c_str());
    if (judged < least) {
      least = judged;
      best = average;
      best_epoch = epoch;
    }
    if (epoch - best_epoch == patience) break;
  }
  writer = best;
  return history;
}

/// A few characters forward and backward under observation, drawn.
void draw(const Writer& writer, const Parts& parts, const Alphabet& alphabet, const std::string& file) {
  const auto [x, y] = Streams(parts.test, alphabet, 1, 5).window(0);
  nn::State state;
  Graph graph;
  graph.observe();
  nn::cross_entropy(writer(x, state), y).backward();
  graphviz::render(graph, file, {.title = "How gradients flow back through five characters"});
}

std::string here(const std::string& file) { return std::filesystem::absolute(file).string(); }

}  // namespace

int main(int argc, char** argv) try {
  const Request request(argc, argv);
  const Plan plan = request.brief ? brief : whole;
  const std::string text =
      data::read_text(request.data.empty() ? EBB_SOURCE_ROOT "/examples/data/devils_dictionary.txt.gz" : request.data);
  const Alphabet alphabet(text);
  const Parts parts(text, alphabet);

  seed(1);
  Writer writer(alphabet.size(), plan.hidden);
  std::printf("%s\n\n", nn::summary(writer).c_str());
  const optim::History history = train(writer, parts, alphabet, plan);
  const double result = bits(writer, parts.test, alphabet);

  NGram rival(joined(parts.train), plan.rival, alphabet.size());
  rival.tune(parts.validation);
  const double rivals = rival.bits(parts.test);
  std::printf("\nbits per character of %zu that neither saw:  %.3f the network,  %.3f the %zu-gram model\n\n",
              parts.test.size(), result, rivals, plan.rival);
  Generator chance(2);
  for (const char* word : {"NETWORK, n.  ", "GRADIENT, n.  ", "COMPUTER, n.  "})
    std::printf("%s\n", written(writer, alphabet, word, 400, chance).c_str());

  nn::save(writer, "devils_dictionary.safetensors");
  history.svg("devils_dictionary.svg");
  draw(writer, parts, alphabet, "devils_dictionary_flow.svg");
  std::printf("%-22s  %s\n", "the network", here("devils_dictionary.safetensors").c_str());
  std::printf("%-22s  %s\n", "how training went", here("devils_dictionary.svg").c_str());
  std::printf("%-22s  %s\n", "how gradients flow", here("devils_dictionary_flow.svg").c_str());
  return verdict("devils_dictionary", "what the network saves of the rival's bits", rivals - result, 0);
} catch (const Error& error) {
  std::fprintf(stderr, "devils_dictionary: %s\n", error.what());
  return 1;
}
