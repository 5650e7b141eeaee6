// SPDX-License-Identifier: MIT
#include "comm/segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <new>
#include <utility>

#include "base/error.h"

namespace dl::comm {

namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

std::string name_of(const std::uint64_t (&token)[3]) {
  return fmt::format("dl-{:016x}{:016x}{:016x}", token[0], token[1], token[2]);
}

// What /proc says that a descriptor is.
std::string target_of(const std::string& path) {
  std::array<char, 128> text{};
  const ssize_t length = ::readlink(path.c_str(), text.data(), text.size());
  if (length < 0) fail_errno(Exit::io, errno, path);
  return {text.data(), static_cast<std::size_t>(length)};
}

}  // namespace

Bytes Offer::encode() const {
  Bytes out;
  for (const std::uint64_t number : {process, descriptor, token[0], token[1], token[2]}) {
    put(out, number);
  }
  return out;
}

Offer Offer::decode(ByteView bytes) {
  ByteReader reader(bytes, "the offer of a segment");
  Offer offer;
  for (std::uint64_t* const number :
       {&offer.process, &offer.descriptor, &offer.token[0], &offer.token[1], &offer.token[2]}) {
    *number = reader.get<std::uint64_t>();
  }
  return offer;
}

Segment::Segment(int file, std::size_t bytes) : file_(file) {
  try {
    memory_ = std::make_shared<Memory>(bytes, file);
  } catch (const std::bad_alloc&) {
    ::close(file);
    fail(Exit::io, "a segment of {} bytes cannot be mapped", bytes);
  }
}

Segment::~Segment() {
  if (file_ >= 0) ::close(file_);
}

Segment::Segment(Segment&& other) noexcept
    : file_(std::exchange(other.file_, -1)), memory_(std::move(other.memory_)) {
  std::copy(std::begin(other.token_), std::end(other.token_), token_);
}

Segment Segment::make(std::size_t bytes) {
  // Beyond this limit the kernel would end the process with a signal.
  rlimit limit{};
  if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < bytes) {
    fail(Exit::io, "a segment of {} bytes is longer than the limit of a file (ulimit -f)", bytes);
  }
  std::uint64_t token[3];
  if (::getrandom(token, sizeof token, 0) != sizeof token) fail_errno(Exit::io, errno, "getrandom");
  const int file = ::memfd_create(name_of(token).c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (file < 0) fail_errno(Exit::io, errno, "memfd_create");
  if (::ftruncate(file, static_cast<off_t>(bytes)) != 0 || ::fcntl(file, F_ADD_SEALS, kSeals) != 0) {
    const int error = errno;
    ::close(file);
    fail_errno(Exit::io, error, fmt::format("a segment of {} bytes", bytes));
  }
  Segment segment(file, bytes);
  std::copy(std::begin(token), std::end(token), segment.token_);
  return segment;
}

Segment Segment::open(const Offer& offer, std::size_t bytes) {
  const std::string path = fmt::format("/proc/{}/fd/{}", offer.process, offer.descriptor);
  const std::string name = fmt::format("/memfd:{} (deleted)", name_of(offer.token));
  // Looked at before it is opened too: opening a stranger's device or pipe may have effects.
  const auto check_name = [&](const std::string& link) {
    if (target_of(link) != name) fail(Exit::data, "{}: is not the segment that was offered", path);
  };
  check_name(path);
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (file < 0) fail_errno(Exit::io, errno, path);
  struct stat facts{};
  try {
    check_name(fmt::format("/proc/self/fd/{}", file));
    if (::fstat(file, &facts) != 0) fail_errno(Exit::io, errno, path);
    if (!S_ISREG(facts.st_mode) || facts.st_uid != ::geteuid() ||
        facts.st_size != static_cast<off_t>(bytes) ||
        (::fcntl(file, F_GET_SEALS) & kSeals) != kSeals) {
      fail(Exit::data, "{}: a segment of {} bytes where {} belong, of another user or not sealed",
           path, facts.st_size, bytes);
    }
  } catch (...) {
    ::close(file);
    throw;
  }
  return {file, bytes};
}

Offer Segment::offer() const {
  return {static_cast<std::uint64_t>(::getpid()), static_cast<std::uint64_t>(file_),
          {token_[0], token_[1], token_[2]}};
}

}  // namespace dl::comm
