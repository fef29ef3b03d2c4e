// ebb-graph: pictures, tables and reports of traces.
#include "asked.h"

#include "../../autograd/error.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace {

using namespace ebb;
using namespace ebb::graphviz;

// A folder of its own, gone at the end.
class Scratch {
 public:
  Scratch() : path_((std::filesystem::temp_directory_path() / "ebb-graph-XXXXXX").string()) {
    if (::mkdtemp(path_.data()) == nullptr)
      throw IoError(fmt::format("cannot make the folder {}: {}", path_, std::strerror(errno)));
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::string file(const std::string& name) const { return path_ + '/' + name; }

 private:
  std::string path_;
};

// Files that are closed from the beginning would be the next that are opened; so they are there, and fail when used.
void open_standard_files() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(descriptor, F_GETFD) == -1 && errno == EBADF)
      static_cast<void>(::open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY));
}

// A reader who has seen enough is no failure.
void print(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n < 0 && errno == EPIPE) return;
    if (n < 0 && errno != EINTR)
      throw IoError(fmt::format("cannot write to standard output: {}", std::strerror(errno)));
    if (n > 0) text.remove_prefix(static_cast<std::size_t>(n));
  }
}

Trace read(const std::string& file) {
  try {
    return load(file == "-" ? "/dev/stdin" : file);
  } catch (const Error& error) {  // "graphviz::load("step.json"): why not"
    const std::string said = error.what(), end = "\"): ";
    const std::size_t why = said.find(end);
    throw IoError((file == "-" ? "standard input" : file) + ": " +
                  (why == std::string::npos ? said : said.substr(why + end.size())));
  }
}

std::string stem(const std::string& file) { return std::filesystem::path(file).stem().string(); }

// The number at the end of "step-000100.json"; without one, or if they do not rise, they are counted.
std::vector<Moment> moments(const std::vector<Part>& parts) {
  std::vector<Moment> all;
  for (const Part& part : parts) {
    const auto digit = [](unsigned char c) { return std::isdigit(c) != 0; };
    const auto begin = std::find_if_not(part.title.rbegin(), part.title.rend(), digit).base();
    const std::string digits(begin, part.title.end());
    all.push_back({digits.empty() || digits.size() > 15 ? 0 : std::stoll(digits), part.trace});
  }
  const auto falls = [](const Moment& a, const Moment& b) { return a.step >= b.step; };
  if (all.front().step < 1 || std::adjacent_find(all.begin(), all.end(), falls) != all.end())
    for (std::size_t i = 0; i < all.size(); ++i) all[i].step = static_cast<std::int64_t>(i + 1);
  return all;
}

Part compared(const Part& before, const Part& after, DotOptions& picture) {
  Part both{fmt::format("{} → {}", before.title, after.title), "", diff(before.trace, after.trace)};
  const auto changed = [&](Change change) {
    return std::count_if(both.trace.records.begin(), both.trace.records.end(),
                         [&](const Record& r) { return r.change == change && r.is_op(); });
  };
  if (picture.title.empty()) picture.title = both.title;
  if (picture.subtitle.empty())
    picture.subtitle = fmt::format("gradients of {}, as multiples of those of {} · ops: {} added, {} removed",
                                   after.title, before.title, changed(Change::added), changed(Change::removed));
  return both;
}

void draw(const std::vector<Part>& parts, const std::string& file, const DotOptions& picture) {
  if (parts.size() == 1) render(parts.front().trace, file, picture);
  else if (picture.play) film(parts, file, picture);
  else render(parts, file, picture);
}

// What goes to standard output; all else is written.
std::string work(const Asked& asked) {
  DotOptions picture = asked.picture;
  std::vector<Part> parts;
  for (const std::string& file : asked.traces) {
    parts.push_back({file == "-" ? "standard input" : stem(file), "", read(file)});
    if (picture.color == Color::time && !parts.back().trace.timed)
      throw IoError(
          fmt::format("{}: holds no times\n  help: graphviz::save(graph, file, {{.times = true}}) keeps them", file));
  }
  if (asked.diff) parts = {compared(parts[0], parts[1], picture)};

  std::string out;
  if (asked.text)
    for (const Part& part : parts) {
      DotOptions table = picture;
      if (parts.size() > 1) table.title = part.title;
      out += (out.empty() ? "" : "\n") + text(part.trace, table);
    }
  if (asked.report)
    out += (out.empty() ? "" : "\n") + (parts.size() == 1 ? report(parts[0].trace) : report(moments(parts)));
  if (!asked.frames.empty()) {
    const FrameFormat format = asked.format == "png" ? FrameFormat::png : FrameFormat::svg;
    DotOptions still = picture;
    still.play = false;
    if (parts.size() == 1) frames(parts[0].trace, asked.frames, still, format);
    else frames(parts, asked.frames, still, format);
  }
  if (asked.output == "-") {
    const Scratch folder;
    const std::string file = folder.file("picture." + asked.format);
    draw(parts, file, picture);
    std::ifstream in(file, std::ios::binary);
    out.append(std::istreambuf_iterator<char>(in), {});
  } else if (!asked.output.empty()) {
    draw(parts, asked.output, picture);
  }
  return out;
}

// The library speaks to who writes C++: its names become those of options.
std::string in_words_of_options(std::string said) {
  const auto replace = [&](const std::string& part, const std::string& with) {
    for (std::size_t at = said.find(part); at != std::string::npos; at = said.find(part, at + with.size()))
      said.replace(at, part.size(), with);
  };
  if (said.starts_with("graphviz: ")) said.erase(0, std::strlen("graphviz: "));
  replace("View::automatic", "--view auto");
  replace("View::", "--view ");
  return said;
}

int fail(const char* what, int status) {
  std::fputs(("ebb-graph: " + in_words_of_options(what) + '\n').c_str(), stderr);
  return status;
}

}  // namespace

int main(int count, char** words) {
  open_standard_files();
  std::signal(SIGPIPE, SIG_IGN);
  try {
    const Asked command = asked(count, words);
    const bool binary = command.output == "-" && (command.format == "png" || command.format == "pdf");
    if (binary && ::isatty(STDOUT_FILENO) == 1)
      throw UsageError("a terminal shows no " + command.format + "\n  help: add -o FILE, or > FILE");
    print(command.answer.empty() ? work(command) : command.answer);
    return 0;
  } catch (const UsageError& error) {
    return fail(error.what(), 2);
  } catch (const std::exception& error) {
    return fail(error.what(), 1);
  }
}
