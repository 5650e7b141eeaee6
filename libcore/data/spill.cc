// SPDX-License-Identifier: MIT
#include "data/spill.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace dl::data {

namespace {

constexpr std::uint32_t kChunkValues = 1U << 15;  // 256 KiB of doubles: half of a small L2
constexpr std::uint64_t kInMemory = std::uint64_t{64} << 20;  // what comes first never sees the disk

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
void narrow(const double* values, std::size_t count, std::byte* out) {
  auto* to = reinterpret_cast<Narrow*>(out);
  for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<Narrow>(values[i]);
}

template <typename Narrow>
void widen(const std::byte* from, std::size_t count, double* values) {
  const auto* narrow = reinterpret_cast<const Narrow*>(from);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<double>(narrow[i]);
}

}  // namespace

Spill::Spill(const fs::path& directory, std::uint32_t width)
    : directory_(directory),
      width_(width),
      chunk_rows_(std::max(1U, kChunkValues / width)),
      fd_(open_nameless(directory)),
      values_(std::size_t{chunk_rows_} * width),
      labels_(chunk_rows_) {}

Spill::~Spill() { ::close(fd_); }

void Spill::end_row(const Label& label) {
  labels_[in_chunk_] = label;
  ++rows_;
  if (++in_chunk_ == chunk_rows_) write_chunk();
}

void Spill::finish() {
  if (in_chunk_ > 0) write_chunk();
}

void Spill::write_chunk() {
  const std::size_t count = std::size_t{in_chunk_} * width_;
  const double* const values = values_.data();
  Chunk chunk;
  if (all_of(values, count, in_byte_range) && all_of(values, count, is_whole)) {
    chunk.kind = Kind::bytes;
  } else if (all_of(values, count, fits_float)) {
    chunk.kind = Kind::floats;
  }
  const ByteView labels = std::as_bytes(std::span(labels_).first(in_chunk_));
  const std::uint64_t size = labels.size() + count * size_of(chunk.kind);
  packed_.resize(size);
  std::memcpy(packed_.data(), labels.data(), labels.size());
  std::byte* const to = packed_.data() + labels.size();
  switch (chunk.kind) {
    case Kind::bytes: narrow<std::uint8_t>(values, count, to); break;
    case Kind::floats: narrow<float>(values, count, to); break;
    case Kind::doubles: std::memcpy(to, values, count * sizeof(double)); break;
  }
  if (in_memory_ + size <= kInMemory) {
    in_memory_ += size;
    chunk.memory = std::exchange(packed_, {});
  } else {
    chunk.offset = at_;
    write(packed_);
  }
  chunks_.push_back(std::move(chunk));
  in_chunk_ = 0;
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

void Spill::for_each(const std::function<void(std::span<const double>, const Label&)>& row,
                     const std::function<void()>& each_chunk) {
  std::uint64_t left = rows_;
  for (const Chunk& chunk : chunks_) {
    const auto rows = static_cast<std::uint32_t>(std::min<std::uint64_t>(left, chunk_rows_));
    const std::size_t count = std::size_t{rows} * width_;
    const std::size_t label_bytes = std::size_t{rows} * sizeof(Label);
    if (chunk.memory.empty()) {
      packed_.resize(label_bytes + count * size_of(chunk.kind));
      read(chunk.offset, packed_);
    }
    const Bytes& packed = chunk.memory.empty() ? packed_ : chunk.memory;
    std::memcpy(labels_.data(), packed.data(), label_bytes);
    const std::byte* const from = packed.data() + label_bytes;
    switch (chunk.kind) {
      case Kind::bytes: widen<std::uint8_t>(from, count, values_.data()); break;
      case Kind::floats: widen<float>(from, count, values_.data()); break;
      case Kind::doubles: std::memcpy(values_.data(), from, count * sizeof(double)); break;
    }
    for (std::uint32_t i = 0; i < rows; ++i) {
      row(std::span(values_).subspan(std::size_t{i} * width_, width_), labels_[i]);
    }
    left -= rows;
    if (each_chunk) each_chunk();
  }
}

}  // namespace dl::data
