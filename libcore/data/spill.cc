// SPDX-License-Identifier: MIT
#include "data/spill.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/error.h"

namespace dl::data {

namespace {

constexpr std::uint32_t kChunkValues = 1U << 15;  // 256 KiB of doubles: half of a small L2
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

// One NaN is as good as another: it means that nothing is known.
bool fits_float(double x) { return static_cast<double>(static_cast<float>(x)) == x || x != x; }

// The cast to an integer is defined only inside its range; -0 is no byte.
bool in_byte_range(double x) {
  return x >= 0 && x <= 255 && std::bit_cast<std::int64_t>(x) >= 0;
}
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

Spill::Spill(const fs::path& directory, std::uint32_t width, std::size_t memory)
    : directory_(directory),
      width_(width),
      fd_(open_nameless(directory)),
      memory_bytes_(memory / kLargePage * kLargePage),
      memory_(static_cast<std::byte*>(std::aligned_alloc(kLargePage, memory_bytes_))) {
  // Large pages spare a fault for every 4 KiB; without them, and without memory_, all works as well.
  if (memory_) ::madvise(memory_.get(), memory_bytes_, MADV_HUGEPAGE);
  begin_chunk();
}

Spill::~Spill() { ::close(fd_); }

void Spill::begin_chunk() {
  in_chunk_ = 0;
  chunk_rows_ = std::max(1U, kChunkValues / width_);
  label_bytes_ = std::size_t{chunk_rows_} * sizeof(Label);
  const std::size_t most = label_bytes_ + std::size_t{chunk_rows_} * width_ * sizeof(double);
  if (memory_ && most <= memory_bytes_ && in_memory_ <= memory_bytes_ - most) {
    open_ = memory_.get() + in_memory_;
  } else {
    outside_.resize(std::max(outside_.size(), most));
    open_ = outside_.data();
  }
}

void Spill::grow(std::uint32_t width) {
  if (width < width_) fail(Exit::bug, "a row of {} numbers behind one of {}", width, width_);
  if (in_chunk_ > 0) end_chunk();
  width_ = width;
  begin_chunk();
}

void Spill::finish(std::uint32_t dropped) {
  if (in_chunk_ > 0) end_chunk();
  dropped_ = dropped;
}

void Spill::end_chunk() {
  const std::size_t count = std::size_t{in_chunk_} * width_;
  const std::size_t label_bytes = std::size_t{in_chunk_} * sizeof(Label);
  const double* const values = open_values();
  Chunk chunk;
  chunk.rows = in_chunk_;
  chunk.width = width_;
  if (all_of(values, count, in_byte_range) && all_of(values, count, is_whole)) {
    chunk.kind = Kind::bytes;
    narrow<std::uint8_t>(values, count, packed_);
  } else if (all_of(values, count, fits_float)) {
    chunk.kind = Kind::floats;
    narrow<float>(values, count, packed_);
  }
  const std::size_t value_bytes = count * size_of(chunk.kind);
  std::byte* const to = open_ + label_bytes;  // before the values, where the chunk is not full
  if (chunk.kind != Kind::doubles) {
    std::memcpy(to, packed_.data(), value_bytes);
  } else if (label_bytes < label_bytes_) {
    std::memmove(to, values, value_bytes);
  }
  const std::size_t size = label_bytes + value_bytes;
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

// The rows with width() numbers each.
const double* Spill::fit_rows(const double* values, const Chunk& chunk, std::vector<double>& out) const {
  if (chunk.width == width_ && dropped_ == 0) return values;
  out.assign(std::size_t{chunk.rows} * width(), 0);
  for (std::size_t row = 0; row < chunk.rows; ++row) {
    const double* const from = values + row * chunk.width;
    if (chunk.width > dropped_) std::copy(from + dropped_, from + chunk.width, &out[row * width()]);
  }
  return out.data();
}

void Spill::for_each(
    const std::function<void(std::span<const double>, std::span<const Label>)>& run) const {
  Bytes packed;
  std::vector<double> wide, fitted;
  for (const Chunk& chunk : chunks_) {
    const std::size_t count = std::size_t{chunk.rows} * chunk.width;
    const std::size_t label_bytes = std::size_t{chunk.rows} * sizeof(Label);
    const std::byte* from = chunk.memory;
    if (from == nullptr) {
      packed.resize(label_bytes + count * size_of(chunk.kind));
      read(chunk.offset, packed);
      from = packed.data();
    }
    const auto* const labels = reinterpret_cast<const Label*>(from);
    from += label_bytes;
    const double* values = wide.data();
    switch (chunk.kind) {
      case Kind::bytes: values = widen<std::uint8_t>(from, count, wide); break;
      case Kind::floats: values = widen<float>(from, count, wide); break;
      case Kind::doubles: values = reinterpret_cast<const double*>(from); break;
    }
    run({fit_rows(values, chunk, fitted), std::size_t{chunk.rows} * width()}, {labels, chunk.rows});
  }
}

}  // namespace dl::data
