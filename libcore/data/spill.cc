// SPDX-License-Identifier: MIT
#include "data/spill.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/error.h"

namespace dl::data {

namespace {

constexpr std::uint32_t kChunkValues = 1U << 15;  // 256 KiB of doubles: half of a small L2

int open_nameless(const fs::path& directory) {
  const int fd = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0) return fd;
  std::string pattern = (directory / ".spill-XXXXXX").string();  // a file system without O_TMPFILE
  const int named = ::mkostemp(pattern.data(), O_CLOEXEC);
  if (named < 0) fail_errno(Exit::cannot_create, errno, directory.string() + ": temporary file");
  ::unlink(pattern.c_str());
  return named;
}

template <typename Narrow>
bool fits(const double* values, std::size_t count) {
  bool all = true;
  for (std::size_t i = 0; i < count; ++i) {
    all &= static_cast<double>(static_cast<Narrow>(values[i])) == values[i];
  }
  return all;
}

// The cast to an integer is defined only inside its range.
bool fits_byte(const double* values, std::size_t count) {
  bool inside = true;
  for (std::size_t i = 0; i < count; ++i) inside &= values[i] >= 0 && values[i] <= 255;
  return inside && fits<std::int32_t>(values, count);
}

template <typename Narrow>
void narrow(const double* values, std::size_t count, Bytes& out) {
  out.resize(count * sizeof(Narrow));
  auto* to = reinterpret_cast<Narrow*>(out.data());
  for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<Narrow>(values[i]);
}

template <typename Narrow>
void widen(const Bytes& from, std::size_t count, double* values) {
  const auto* narrow = reinterpret_cast<const Narrow*>(from.data());
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
  Chunk chunk{at_, Kind::doubles};
  if (fits_byte(values_.data(), count)) {
    chunk.kind = Kind::bytes;
    narrow<std::uint8_t>(values_.data(), count, packed_);
  } else if (fits<float>(values_.data(), count)) {
    chunk.kind = Kind::floats;
    narrow<float>(values_.data(), count, packed_);
  }
  write(std::as_bytes(std::span(labels_).first(in_chunk_)));
  write(chunk.kind == Kind::doubles ? std::as_bytes(std::span(values_).first(count)) : ByteView(packed_));
  chunks_.push_back(chunk);
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
    const auto labels = std::as_writable_bytes(std::span(labels_).first(rows));
    read(chunk.offset, labels);
    const std::uint64_t behind = chunk.offset + labels.size();
    if (chunk.kind == Kind::doubles) {
      read(behind, std::as_writable_bytes(std::span(values_).first(count)));
    } else {
      packed_.resize(count * (chunk.kind == Kind::bytes ? 1 : 4));
      read(behind, packed_);
      if (chunk.kind == Kind::bytes) {
        widen<std::uint8_t>(packed_, count, values_.data());
      } else {
        widen<float>(packed_, count, values_.data());
      }
    }
    for (std::uint32_t i = 0; i < rows; ++i) {
      row(std::span(values_).subspan(std::size_t{i} * width_, width_), labels_[i]);
    }
    left -= rows;
    if (each_chunk) each_chunk();
  }
}

}  // namespace dl::data
