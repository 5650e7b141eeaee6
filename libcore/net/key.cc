// SPDX-License-Identifier: MIT
#include "net/key.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <thread>

#include "base/clock.h"
#include "base/error.h"
#include "net/secret_file.h"

namespace dl::net {

namespace {

constexpr std::size_t kDigits = 2 * Key::kBytes;
constexpr Milliseconds kLookAgain(20);

// Secrets on the stack do not outlive their function.
template <typename T, std::size_t N>
struct Wiped : std::array<T, N> {
  Wiped() : std::array<T, N>{} {}
  Wiped(const Wiped&) = delete;
  Wiped& operator=(const Wiped&) = delete;
  ~Wiped() { OPENSSL_cleanse(this->data(), N * sizeof(T)); }
};

struct Descriptor {
  explicit Descriptor(int number) : fd(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  const int fd;
};

int value_of(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

}  // namespace

std::shared_ptr<const Key> read_key(const fs::path& file, Milliseconds patience) {
  const std::string name = file.string();
  const std::int64_t begin = monotonic_ns();
  std::error_code none;
  while (!fs::exists(file, none) && monotonic_ns() - begin < patience.count() * 1'000'000) {
    std::this_thread::sleep_for(kLookAgain);
  }
  const Secret read = read_secret(file, kDigits + 2, "the run's key");
  const std::string_view text = read.text();
  Wiped<std::byte, Key::kBytes> secret;
  bool good = text.size() == kDigits || (text.size() == kDigits + 1 && text[kDigits] == '\n');
  for (std::size_t i = 0; good && i < secret.size(); ++i) {
    const int high = value_of(text[2 * i]), low = value_of(text[2 * i + 1]);
    good = high >= 0 && low >= 0;
    secret[i] = static_cast<std::byte>(16 * high + low);
  }
  if (!good) fail(Exit::data, "{}: no key: {} hexadecimal digits and a line end are one", name, kDigits);
  return std::make_shared<const Key>(std::span<const std::byte, Key::kBytes>(secret));
}

void make_key(const fs::path& file) {
  const std::string name = file.string();
  const fs::path temporary = file.parent_path() / ("." + file.filename().string() + ".tmp");
  Wiped<unsigned char, Key::kBytes> secret;
  if (::getrandom(secret.data(), secret.size(), 0) != static_cast<ssize_t>(secret.size())) {
    fail_errno(Exit::io, errno, "getrandom");
  }
  Wiped<char, kDigits + 1> text;
  for (std::size_t i = 0; i < secret.size(); ++i) {
    text[2 * i] = "0123456789abcdef"[secret[i] >> 4];
    text[2 * i + 1] = "0123456789abcdef"[secret[i] & 15];
  }
  text[kDigits] = '\n';
  ::unlink(temporary.c_str());  // of a process that was killed here
  const Descriptor made(
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (made.fd < 0) fail_errno(Exit::cannot_create, errno, name);
  const bool whole = ::write(made.fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                     ::fsync(made.fd) == 0;
  if (whole && ::rename(temporary.c_str(), file.c_str()) == 0) return;
  const int error = errno;
  ::unlink(temporary.c_str());
  fail_errno(Exit::cannot_create, error, name);
}

}  // namespace dl::net
