#include "file.h"

#include "../../autograd/error.h"
#include "../../autograd/launch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <utility>

namespace ebb::io {

namespace {

[[noreturn]] void fail(const char* what, const std::string& path, const std::string& why) {
  throw IoError(fmt::format("cannot {} \"{}\": {}", what, path, why));
}
[[noreturn]] void fail(const char* what, const std::string& path, int error) {
  fail(what, path, std::string(std::strerror(error)));
}

/// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }

  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  /// Some file systems report a failed write only here.
  int close() { return ::close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

int open_retrying(const char* path, int flags, mode_t mode = 0) {
  int fd;
  do fd = ::open(path, flags, mode);
  while (fd < 0 && errno == EINTR);
  return fd;
}

/// Follows symbolic links, so that the file they lead to is replaced and not the link.
std::string behind_links(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
  return real ? std::string(real.get()) : path;
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// A new file in the folder of the one that it is to replace.
struct Successor {
  std::string target, folder, path;
  mode_t mode;  // of the old one; 0 if there is none
  Descriptor file;

  explicit Successor(const std::string& of) : target(behind_links(of)), folder(folder_of(target)), mode(0), file(-1) {
    struct stat info;
    if (::stat(target.c_str(), &info) == 0) {
      if (!S_ISREG(info.st_mode)) fail("write", of, "it is no regular file");
      mode = info.st_mode & 07777;
    }
    for (int attempt = 0; !file.open() && attempt < 100; ++attempt) {
      path = fmt::format("{}/.ebb-{}-{}.new", folder, ::getpid(), attempt);
      file = Descriptor(open_retrying(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
      if (!file.open() && errno != EEXIST) break;
    }
    if (!file.open()) fail("write", of, errno);
  }
};

}  // namespace

std::string read_file(const std::string& path) {
  ebb::detail::cannot_replay("reads a file");
  // Not to be kept waiting by a pipe that nobody writes to.
  const Descriptor file(open_retrying(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.open()) fail("open", path, errno);
  struct stat info;
  if (::fstat(file.get(), &info) != 0) fail("read", path, errno);
  if (!S_ISREG(info.st_mode)) fail("read", path, "it is no regular file");

  std::string bytes;
  try {
    bytes.resize(static_cast<std::size_t>(info.st_size));
  } catch (const std::exception&) {  // a sparse file may claim more than there is
    fail("read", path, fmt::format("there is no memory for its {} bytes", info.st_size));
  }
  std::size_t got = 0;
  while (got < bytes.size()) {
    const ssize_t n = ::read(file.get(), bytes.data() + got, bytes.size() - got);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("read", path, errno);
    if (n == 0) break;
    got += static_cast<std::size_t>(n);
  }
  bytes.resize(got);
  return bytes;
}

void replace_file(const std::string& path, std::span<const std::span<const char>> parts) {
  ebb::detail::cannot_replay("writes a file");
  Successor next(path);
  const int fd = next.file.get();
  const auto give_up = [&](int error) {
    ::unlink(next.path.c_str());
    fail("write", path, error);
  };
  if (next.mode != 0 && ::fchmod(fd, next.mode) != 0) give_up(errno);
  for (const std::span<const char> part : parts)
    for (std::size_t put = 0; put < part.size();) {
      const ssize_t n = ::write(fd, part.data() + put, part.size() - put);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) give_up(errno);
      put += static_cast<std::size_t>(n);
    }
  if (::fsync(fd) != 0) give_up(errno);
  if (next.file.close() != 0) give_up(errno);
  if (::rename(next.path.c_str(), next.target.c_str()) != 0) give_up(errno);

  // The new name must outlive a power cut, too; file systems that cannot promise it say EINVAL.
  const Descriptor directory(open_retrying(next.folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.open() || (::fsync(directory.get()) != 0 && errno != EINVAL)) fail("write", path, errno);
}

void require_writable(const std::string& path) {
  const Successor next(path);
  ::unlink(next.path.c_str());
}

}  // namespace ebb::io
