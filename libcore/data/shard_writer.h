// SPDX-License-Identifier: MIT
// Writes one shard file, row by row; it appears whole, by rename, or not at all (dl-shard(5)).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/hash.h"
#include "data/manifest.h"
#include "data/shard_format.h"

namespace dl::data {

// Holds one block in memory. Exactly shape.rows rows must be added, in order, before commit().
class ShardWriter {
 public:
  // shape.block_rows 0: the usual number. 73 where the file cannot be created.
  ShardWriter(const fs::path& path, ShardShape shape);

  // Where the next row's features go (shape.features floats); valid until the row is ended by one of:
  float* row() { return block_.data() + std::size_t{in_block_} * shape_.features; }
  void end_row(std::uint32_t label, float weight = 1);
  void end_row(std::span<const float> numbers, float weight = 1);

  // fsync and rename; the entry for the manifest. 74 where the disk is full.
  ShardEntry commit();

 private:
  void end_row(float weight);
  void write_block();
  void write(ByteView bytes);

  AtomicFile file_;
  Sha256 digest_;
  ShardShape shape_;
  std::vector<float> block_;            // features of the open block
  std::vector<std::uint32_t> labels_;
  std::vector<float> numbers_, weights_;
  Bytes tail_;
  std::vector<std::uint64_t> class_counts_;
  std::uint32_t in_block_ = 0, blocks_ = 0, rows_ = 0;
};

}  // namespace dl::data
