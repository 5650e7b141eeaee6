// SPDX-License-Identifier: MIT
// The numbers of a table between its reading and its shards, so that memory stays bounded.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "data/labels.h"

namespace dl::data {

inline constexpr std::size_t kUsualSpillMemory = std::size_t{128} << 20;

// Rows of doubles with a label each, written in order, read in order as often as wanted. Chunks of rows
// are kept in the narrowest of uint8, float32 and float64 that holds all their numbers exactly (a NaN
// fits a float32, and is read as a NaN again): the first `memory` bytes in memory, the rest in a file
// without a name, which is gone with the object. Numbers are read straight into the chunk that keeps
// them, and doubles in memory are handed out where they lie.
//
// Rows may grow while they are written: a chunk remembers the width of its rows, and zeros are added
// behind narrower ones when they are read.
class Spill {
 public:
  // Rows begin with `width` numbers, at least 1. 73 where the directory does not allow it.
  Spill(const fs::path& directory, std::uint32_t width, std::size_t memory = kUsualSpillMemory);
  ~Spill();
  Spill(const Spill&) = delete;
  Spill& operator=(const Spill&) = delete;

  double* row() { return open_values() + std::size_t{in_chunk_} * width_; }  // width() numbers
  // The same, from now on for `width` numbers, which are not fewer than before.
  double* row(std::uint32_t width) {
    if (width != width_) grow(width);
    return row();
  }
  void end_row(const Label& label) {
    open_labels()[in_chunk_] = label;
    ++rows_;
    if (++in_chunk_ == chunk_rows_) end_chunk();
  }
  // Once, behind the last row: the first `dropped` numbers of every row are left out from now on.
  // 74 where the disk is full, as end_row().
  void finish(std::uint32_t dropped = 0);

  std::uint32_t width() const { return width_ - dropped_; }
  std::uint64_t rows() const { return rows_; }
  // Calls back for runs of rows, in order: the numbers of a run's rows, one row after the other, and a
  // label for each row.
  void for_each(
      const std::function<void(std::span<const double>, std::span<const Label>)>& run) const;

 private:
  enum class Kind : std::uint8_t { bytes = 1, floats = 4, doubles = 8 };
  static std::size_t size_of(Kind kind) { return static_cast<std::size_t>(kind); }
  // Its labels, then its numbers.
  struct Chunk {
    Kind kind = Kind::doubles;
    std::uint32_t rows = 0, width = 0;
    const std::byte* memory = nullptr;  // null: it is in the file, at `offset`
    std::uint64_t offset = 0;
  };
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  Label* open_labels() { return reinterpret_cast<Label*>(open_); }
  double* open_values() { return reinterpret_cast<double*>(open_ + label_bytes_); }
  void grow(std::uint32_t width);
  void begin_chunk();
  void end_chunk();
  const double* fit_rows(const double* values, const Chunk& chunk, std::vector<double>& out) const;
  void write(ByteView bytes);
  void read(std::uint64_t offset, std::span<std::byte> to) const;

  fs::path directory_;
  std::uint32_t width_, dropped_ = 0, chunk_rows_ = 0;
  std::size_t label_bytes_ = 0;  // of the open chunk: room for all the rows that it may have
  int fd_ = -1;
  std::uint64_t at_ = 0, rows_ = 0;
  std::size_t memory_bytes_, in_memory_ = 0;
  std::unique_ptr<std::byte[], Free> memory_;  // untouched pages cost nothing
  Bytes outside_;                              // the open chunk, once memory_ is full
  std::byte* open_ = nullptr;                  // the open chunk: in memory_ or outside_
  std::uint32_t in_chunk_ = 0;
  Bytes packed_;
  std::vector<Chunk> chunks_;
};

}  // namespace dl::data
