// SPDX-License-Identifier: MIT
#include "net/secret_file.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.h"

namespace dl::net {

namespace {

struct Descriptor {
  explicit Descriptor(int number) : fd(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  const int fd;
};

void check_owner(int fd, const std::string& name) {
  struct stat facts{};
  if (::fstat(fd, &facts) != 0) fail_errno(Exit::io, errno, name);
  if (!S_ISREG(facts.st_mode)) fail(Exit::data, "{}: a key is a plain file", name);
  if (facts.st_uid != ::geteuid()) {
    fail(Exit::denied, "{}: this key belongs to another user (uid {}); use a copy of your own", name,
         facts.st_uid);
  }
  if ((facts.st_mode & 077) != 0) {
    fail(Exit::denied, "{}: others may read this key (mode {:04o}): chmod 600 {}", name,
         facts.st_mode & 07777U, name);
  }
}

void check_writers(int fd, const std::string& name) {
  struct stat facts{};
  if (::fstat(fd, &facts) != 0) fail_errno(Exit::io, errno, name);
  if (facts.st_uid != 0 && facts.st_uid != ::geteuid()) {
    fail(Exit::denied, "{}: this file belongs to another user (uid {}), who may write it, and so let in whom he likes; "
                       "use a copy of your own, or one of root's", name, facts.st_uid);
  }
  if ((facts.st_mode & 022) != 0) {
    fail(Exit::denied, "{}: others may write this file, and so let in whom they like (mode {:04o}): chmod go-w {}", name,
         facts.st_mode & 07777U, name);
  }
}

}  // namespace

Secret::~Secret() {
  if (!bytes_.empty()) OPENSSL_cleanse(bytes_.data(), bytes_.size());
}

Secret read_secret(const fs::path& file, std::size_t most, std::string_view what) {
  const std::string name = file.string();
  const Descriptor opened(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (opened.fd < 0) {
    fail_errno(errno == EACCES ? Exit::denied : Exit::no_input, errno, fmt::format("{}: {}", name, what));
  }
  check_owner(opened.fd, name);
  Secret out(most);
  while (out.size_ < most) {
    const ssize_t count = ::read(opened.fd, out.bytes_.data() + out.size_, most - out.size_);
    if (count < 0) fail_errno(Exit::io, errno, name);
    if (count == 0) break;
    out.size_ += static_cast<std::size_t>(count);
  }
  return out;
}

std::string read_trusted(const fs::path& file, std::size_t most) {
  const std::string name = file.string();
  const Descriptor opened(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (opened.fd < 0) fail_errno(Exit::no_input, errno, name);
  check_writers(opened.fd, name);
  std::string text(most + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t count = ::read(opened.fd, text.data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_errno(Exit::no_input, errno, name);
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  if (size > most) fail(Exit::data, "{}: longer than the {} bytes such a file may have", name, most);
  text.resize(size);
  return text;
}

}  // namespace dl::net
