#include "progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string_view>

#if __has_include(<sys/ioctl.h>) && __has_include(<unistd.h>)
#include <sys/ioctl.h>
#include <unistd.h>
#endif

namespace ebb::optim {

namespace {

constexpr std::int64_t epochs_all_shown = 20, epochs_shown_of_many = 15;
constexpr std::chrono::milliseconds between_redraws{100};

std::string list(std::span<const Reading> readings) {
  std::string text;
  for (const auto& [name, value] : readings) {
    const double size = std::abs(value);
    const bool plain = size == 0 || (size >= 1e-3 && size < 1e4);
    text += plain ? fmt::format("  {} {:.4f}", name, value) : fmt::format("  {} {:.3e}", name, value);
  }
  return text;
}

/// The first `columns` characters of UTF-8 text.
std::string cut(const std::string& text, int columns) {
  std::size_t end = 0;
  for (int seen = 0; end < text.size(); ++end)
    if ((text[end] & 0xC0) != 0x80 && ++seen > columns) break;
  return text.substr(0, end);
}

std::string bar(double done, int columns) {
  const int full = static_cast<int>(std::lround(done * columns));
  std::string text;
  for (int i = 0; i < columns; ++i) text += i < full ? "━" : "─";
  return text;
}

}  // namespace

int terminal_columns([[maybe_unused]] std::FILE* out) {
#ifdef TIOCGWINSZ
  const char* const term = std::getenv("TERM");
  if (!isatty(fileno(out)) || term == nullptr || std::string_view(term) == "dumb") return 0;
  winsize size{};
  return ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
#else
  return 0;
#endif
}

std::string duration(double seconds) {
  if (seconds < 0.1) return fmt::format("{:.1f} ms", seconds * 1e3);
  if (seconds < 10) return fmt::format("{:.1f} s", seconds);
  const auto s = static_cast<std::int64_t>(std::llround(seconds));
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {} s", s / 60, s % 60);
  return fmt::format("{} h {} min", s / 3600, s % 3600 / 60);
}

Progress::Progress(std::FILE* out, std::int64_t epochs, std::int64_t batches, int columns)
    : out_(out), epochs_(epochs), batches_(batches), columns_(columns) {}

Progress::~Progress() {
  if (live_) show("");
}

std::string Progress::head(std::int64_t epoch) const {
  const std::size_t digits = std::to_string(epochs_).size();
  return fmt::format("epoch {:>{}}/{}", epoch, digits, epochs_);
}

void Progress::show(const std::string& text) {
  constexpr const char* wipe_line = "\r\033[2K";
  if (columns_ > 0) std::fputs(wipe_line, out_);
  std::fputs(text.c_str(), out_);
  std::fflush(out_);
}

void Progress::batch(std::int64_t epoch, std::int64_t batch, std::span<const Reading> readings) {
  if (columns_ == 0) return;
  const auto part = [&](std::int64_t batches) {
    return (static_cast<double>(epoch - 1) + static_cast<double>(batches) / static_cast<double>(batches_)) /
           static_cast<double>(epochs_);
  };
  if (begun_ < 0) begun_ = part(batch - 1);
  const Clock::time_point now = Clock::now();
  if (now - drawn_ < between_redraws) return;
  drawn_ = now;

  const double done = part(batch);
  const double left = std::chrono::duration<double>(now - started_).count() * (1 - done) / (done - begun_);
  const std::string front = head(epoch), back = fmt::format("{}  · {} left", list(readings), duration(left));
  // One column stays free: a full line would wrap, and could not be wiped.
  const int room = columns_ - static_cast<int>(front.size() + back.size()) - 2;
  const double share = static_cast<double>(batch) / static_cast<double>(batches_);
  const std::string middle = room < 6 ? "" : "  " + bar(share, std::min(room, 24));
  show(cut(front + middle + back, columns_ - 1));
  live_ = true;
}

void Progress::note(const std::string& text) {
  show(text + "\n");
  live_ = false;
}

void Progress::epoch(std::int64_t epoch, std::span<const Reading> readings, double seconds) {
  const std::int64_t every =
      epochs_ <= epochs_all_shown ? 1 : (epochs_ + epochs_shown_of_many - 1) / epochs_shown_of_many;
  if (epoch != 1 && epoch != epochs_ && epoch % every != 0) return;
  note(fmt::format("{}{}  {}", head(epoch), list(readings), duration(seconds)));
}

}  // namespace ebb::optim
