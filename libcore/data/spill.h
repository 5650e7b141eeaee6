// SPDX-License-Identifier: MIT
// The numbers of a table between its reading and its shards: on disk, so that memory stays bounded.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "data/labels.h"

namespace dl::data {

// Rows of doubles with a label each, written in order, read in order as often as wanted. Chunks of rows
// are kept in the narrowest of uint8, float32 and float64 that holds all their numbers exactly: the first
// 64 MiB in memory, the rest in a file without a name, which is gone with the object.
class Spill {
 public:
  // 73 where the directory does not allow it.
  Spill(const fs::path& directory, std::uint32_t width);
  ~Spill();
  Spill(const Spill&) = delete;
  Spill& operator=(const Spill&) = delete;

  double* row() { return values_.data() + std::size_t{in_chunk_} * width_; }  // width() numbers
  void end_row(const Label& label);
  void finish();  // once, behind the last row; 74 where the disk is full

  std::uint64_t rows() const { return rows_; }
  // Calls back for each row, in order. `each_chunk` (may be empty) is called now and then and may throw.
  void for_each(const std::function<void(std::span<const double>, const Label&)>& row,
                const std::function<void()>& each_chunk);

 private:
  enum class Kind : std::uint8_t { bytes = 1, floats = 4, doubles = 8 };
  static std::size_t size_of(Kind kind) { return static_cast<std::size_t>(kind); }
  struct Chunk {
    Kind kind = Kind::doubles;
    Bytes memory;              // empty: it is in the file, at `offset`
    std::uint64_t offset = 0;
  };
  void write_chunk();
  void write(ByteView bytes);
  void read(std::uint64_t offset, std::span<std::byte> to) const;

  fs::path directory_;
  std::uint32_t width_, chunk_rows_;
  int fd_ = -1;
  std::uint64_t at_ = 0, in_memory_ = 0, rows_ = 0;
  std::uint32_t in_chunk_ = 0;
  std::vector<double> values_;
  std::vector<Label> labels_;
  Bytes packed_;
  std::vector<Chunk> chunks_;
};

}  // namespace dl::data
