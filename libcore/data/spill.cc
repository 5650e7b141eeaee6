// SPDX-License-Identifier: MIT
#include "data/spill.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/error.h"

namespace dl::data {

namespace {

constexpr std::uint32_t kChunkValues = 1U << 15;  // 256 KiB of doubles: half of a small L2
constexpr std::size_t kInMemory = std::size_t{64} << 20;  // what comes first never sees the disk
constexpr std::size_t kLargePage = std::size_t{2} << 20;
constexpr std::size_t kAlignment = 64;  // of a chunk in memory

int open_nameless(const fs::path& directory) {
  const int fd = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0) return fd;
  std::string pattern = (directory / ".spill-XXXXXX").string();  // a file system without O_TMPFILE
  const int named = ::mkostemp(pattern.data(), O_CLOEXEC);
  if (named < 0) fail_errno(Exit::cannot_create, errno, directory.string() + ": temporary file");
  ::unlink(pattern.c_str());
  return named;
}

// Looked at in short runs: most tables show at once that they do not fit.
template <typename Test>
bool all_of(const double* values, std::size_t count, Test test) {
  constexpr std::size_t kRun = 128;
  for (std::size_t begin = 0; begin < count; begin += kRun) {
    const std::size_t end = std::min(begin + kRun, count);
    bool all = true;
    for (std::size_t i = begin; i < end; ++i) all &= test(values[i]);
    if (!all) return false;
  }
  return true;
}

bool fits_float(double x) { return static_cast<double>(static_cast<float>(x)) == x; }

// The cast to an integer is defined only inside its range.
bool in_byte_range(double x) { return x >= 0 && x <= 255; }
bool is_whole(double x) { return static_cast<double>(static_cast<std::int32_t>(x)) == x; }

template <typename Narrow>
void narrow(const double* values, std::size_t count, Bytes& out) {
  out.resize(std::max(out.size(), count * sizeof(Narrow)));
  auto* to = reinterpret_cast<Narrow*>(out.data());
  for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<Narrow>(values[i]);
}

template <typename Narrow>
const double* widen(const std::byte* from, std::size_t count, std::vector<double>& out) {
  out.resize(std::max(out.size(), count));
  const auto* narrow = reinterpret_cast<const Narrow*>(from);
  for (std::size_t i = 0; i < count; ++i) out[i] = static_cast<double>(narrow[i]);
  return out.data();
}

}  // namespace

Spill::Spill(const fs::path& directory, std::uint32_t width)
    : directory_(directory),
      width_(width),
      chunk_rows_(std::max(1U, kChunkValues / width)),
      label_bytes_(std::size_t{chunk_rows_} * sizeof(Label)),
      fd_(open_nameless(directory)),
      memory_(static_cast<std::byte*>(std::aligned_alloc(kLargePage, kInMemory))) {
  // Large pages spare a fault for every 4 KiB; without them, and without memory_, all works as well.
  if (memory_) ::madvise(memory_.get(), kInMemory, MADV_HUGEPAGE);
  begin_chunk();
}

Spill::~Spill() { ::close(fd_); }

void Spill::begin_chunk() {
  in_chunk_ = 0;
  const std::size_t most = label_bytes_ + std::size_t{chunk_rows_} * width_ * sizeof(double);
  if (memory_ && in_memory_ + most <= kInMemory) {
    open_ = memory_.get() + in_memory_;
  } else {
    outside_.resize(most);
    open_ = outside_.data();
  }
}

void Spill::finish() {
  if (in_chunk_ > 0) end_chunk();
}

void Spill::end_chunk() {
  const std::size_t count = std::size_t{in_chunk_} * width_;
  double* const values = open_values();
  Chunk chunk;
  if (all_of(values, count, in_byte_range) && all_of(values, count, is_whole)) {
    chunk.kind = Kind::bytes;
    narrow<std::uint8_t>(values, count, packed_);
  } else if (all_of(values, count, fits_float)) {
    chunk.kind = Kind::floats;
    narrow<float>(values, count, packed_);
  }
  const std::size_t value_bytes = count * size_of(chunk.kind);
  if (chunk.kind != Kind::doubles) std::memcpy(values, packed_.data(), value_bytes);
  const std::size_t size = label_bytes_ + value_bytes;
  if (open_ == outside_.data()) {
    chunk.offset = at_;
    write({open_, size});
  } else {
    chunk.memory = open_;
    in_memory_ += (size + kAlignment - 1) / kAlignment * kAlignment;
  }
  chunks_.push_back(chunk);
  begin_chunk();
}

void Spill::write(ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_errno(Exit::io, errno, directory_.string() + ": temporary file");
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    at_ += static_cast<std::uint64_t>(n);
  }
}

void Spill::read(std::uint64_t offset, std::span<std::byte> to) const {
  while (!to.empty()) {
    const ssize_t n = ::pread(fd_, to.data(), to.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail_errno(Exit::io, n < 0 ? errno : EIO, directory_.string() + ": temporary file");
    to = to.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

void Spill::for_each(
    const std::function<void(std::span<const double>, std::span<const Label>)>& run) const {
  Bytes packed;
  std::vector<double> wide;
  std::uint64_t left = rows_;
  for (const Chunk& chunk : chunks_) {
    const auto rows = static_cast<std::size_t>(std::min<std::uint64_t>(left, chunk_rows_));
    const std::size_t count = rows * width_;
    const std::byte* from = chunk.memory;
    if (from == nullptr) {
      packed.resize(label_bytes_ + count * size_of(chunk.kind));
      read(chunk.offset, packed);
      from = packed.data();
    }
    const auto* const labels = reinterpret_cast<const Label*>(from);
    from += label_bytes_;
    const double* values = wide.data();
    switch (chunk.kind) {
      case Kind::bytes: values = widen<std::uint8_t>(from, count, wide); break;
      case Kind::floats: values = widen<float>(from, count, wide); break;
      case Kind::doubles: values = reinterpret_cast<const double*>(from); break;
    }
    run({values, count}, {labels, rows});
    left -= rows;
  }
}

}  // namespace dl::data
