#include "file.h"

#include "text.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <thread>

extern char** environ;

namespace ebb::graphviz {

namespace {

// Empty: all was written.
std::string write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(descriptor, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::strerror(errno);
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return "";
}

// A file without a name: a child can read what is in it and write into it without ever waiting for us.
struct Scratch {
  Scratch() : file(std::tmpfile()) {
    if (file == nullptr) throw IoError(fmt::format("graphviz: cannot make a temporary file: {}", std::strerror(errno)));
  }
  ~Scratch() { std::fclose(file); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  int descriptor() const { return fileno(file); }
  std::string text() const {
    std::string all(static_cast<std::size_t>(std::max<off_t>(::lseek(descriptor(), 0, SEEK_END), 0)), '\0');
    std::size_t read = 0;
    while (read < all.size()) {
      const ssize_t n = ::pread(descriptor(), all.data() + read, all.size() - read, static_cast<off_t>(read));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) throw IoError(fmt::format("graphviz: cannot read a temporary file: {}", std::strerror(errno)));
      read += static_cast<std::size_t>(n);
    }
    return all;
  }
  std::FILE* file;
};

struct Actions {
  Actions() { posix_spawn_file_actions_init(&list); }
  ~Actions() { posix_spawn_file_actions_destroy(&list); }
  Actions(const Actions&) = delete;
  Actions& operator=(const Actions&) = delete;
  posix_spawn_file_actions_t list;
};

// The exit status; -1 if the program had to be stopped.
int wait_for(pid_t child, std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  auto pause = std::chrono::milliseconds(1);
  int status = 0;
  for (;;) {
    const pid_t done = ::waitpid(child, &status, WNOHANG);
    if (done == child) return status;
    if (done < 0 && errno != EINTR) return 0;  // somebody reaps children by themselves: the picture itself must tell
    if (std::chrono::steady_clock::now() >= end) break;
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::milliseconds(20));
  }
  ::kill(child, SIGKILL);
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return -1;
}

}  // namespace

Replacement::Replacement(std::string target) : target_(std::move(target)) {
  std::error_code error;
  const std::filesystem::path followed = std::filesystem::weakly_canonical(target_, error);
  path_ = error ? target_ : followed.string();
  struct stat old {};
  const bool exists = ::stat(path_.c_str(), &old) == 0;
  if (exists && !S_ISREG(old.st_mode)) fail("it is not a regular file");
  for (int i = 0; descriptor_ < 0; ++i) {
    temporary_ = fmt::format("{}.{}-{}.tmp", path_, ::getpid(), i);
    descriptor_ = ::open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (descriptor_ < 0 && errno != EEXIST) {
      const std::string why = std::strerror(errno);
      temporary_.clear();
      fail(why);
    }
  }
  if (exists) static_cast<void>(::fchmod(descriptor_, old.st_mode & 07777));
}

Replacement::~Replacement() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void Replacement::fail(const std::string& what) const {
  throw IoError(fmt::format("graphviz: cannot write {}: {}", target_, what));
}

void Replacement::write(std::string_view text) {
  if (const std::string why = write_all(descriptor_, text); !why.empty()) fail(why);
}

void Replacement::commit() {
  if (::fsync(descriptor_) != 0) fail(std::strerror(errno));
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail(std::strerror(errno));
  temporary_.clear();
}

namespace {

void run(std::string_view text, const std::string& format, int out, std::chrono::milliseconds limit) {
  const Scratch in, complaints;
  if (const std::string why = write_all(in.descriptor(), text); !why.empty())
    throw IoError("graphviz: cannot write a temporary file: " + why);
  ::lseek(in.descriptor(), 0, SEEK_SET);

  Actions actions;
  posix_spawn_file_actions_adddup2(&actions.list, in.descriptor(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions.list, out, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions.list, complaints.descriptor(), STDERR_FILENO);
  std::string program = "dot", option = "-T" + format;
  char* const arguments[] = {program.data(), option.data(), nullptr};
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, "dot", &actions.list, nullptr, arguments, environ);
  if (error == ENOENT)
    throw IoError(
        "graphviz: the program dot is not installed\n  help: install the package graphviz, or write a .dot file, which "
        "needs nothing");
  if (error != 0) throw IoError(fmt::format("graphviz: cannot run dot: {}", std::strerror(error)));

  const int status = wait_for(child, limit);
  if (status == -1)
    throw TooMuch(fmt::format("graphviz: dot took longer than {:.3g} s and was stopped\n  help: draw a smaller graph",
                              static_cast<double>(limit.count()) / 1000),
                  "dot took too long for more");
  std::string said = complaints.text();
  said.erase(std::find_if(said.rbegin(), said.rend(), [](char c) { return c != '\n' && c != ' '; }).base(), said.end());
  const std::string because = said.empty() ? "" : ": " + shorten(said, 500);
  // It would draw all on a smaller scale, which nobody can read.
  if (said.find("too large for cairo-renderer") != std::string::npos)
    throw TooMuch(fmt::format("graphviz: the picture is larger than the 32,767 pixels that a .{0} holds\n"
                              "  help: write a .svg, or draw a smaller graph",
                              format),
                  "a ." + format + " holds no more");
  if (WIFSIGNALED(status))
    throw TooMuch(fmt::format("graphviz: dot was ended by signal {}{}\n  help: another view or depth may do",
                              WTERMSIG(status), because),
                  "dot crashed on more");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || said.find("Error:") != std::string::npos ||
      ::lseek(out, 0, SEEK_END) <= 0)
    throw IoError(fmt::format("graphviz: dot failed with status {}{}", WEXITSTATUS(status), because));
}

}  // namespace

void run_dot(std::string_view text, const std::string& format, Replacement& out, std::chrono::milliseconds limit) {
  run(text, format, out.descriptor(), limit);
}

std::string run_dot(std::string_view text, const std::string& format, std::chrono::milliseconds limit) {
  const Scratch out;
  run(text, format, out.descriptor(), limit);
  return out.text();
}

}  // namespace ebb::graphviz
