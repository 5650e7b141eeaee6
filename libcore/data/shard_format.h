// SPDX-License-Identifier: MIT
// The bytes of a shard, version 1 (dl-shard(5)): a header of 64 bytes, then blocks of rows.
//
// A block of r rows: r x features float32; then r classes (uint32), or r x targets float32; then, where
// the flag says so, r weights (float32); zeros; CRC-32C of the block's number (uint32) and of all of
// the block before it. Blocks are a multiple of 64 bytes; all but the last have block_rows rows.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace dl::data {

inline constexpr std::array<unsigned char, 8> kShardMagic = {0x89, 'D',  'L',  'S',
                                                             '\r', '\n', 0x1a, '\n'};
inline constexpr std::uint32_t kShardVersion = 1;
inline constexpr std::uint32_t kShardHeaderBytes = 64;
inline constexpr std::uint32_t kShardFlagWeights = 1;
inline constexpr std::uint32_t kMostTargets = 1U << 16;

struct ShardShape {
  std::uint32_t rows = 0;
  std::uint32_t features = 0;
  std::uint32_t targets = 0;     // numbers to predict; 0 where there are classes
  std::uint32_t classes = 0;     // 0 where there are numbers to predict
  std::uint32_t block_rows = 0;
  bool weights = false;

  std::uint64_t row_bytes() const {  // all that belongs to one row
    return 4 * (std::uint64_t{features} + (classes > 0 ? 1 : targets) + (weights ? 1 : 0));
  }
  std::uint32_t blocks() const { return rows / block_rows + (rows % block_rows != 0 ? 1 : 0); }
  std::uint32_t rows_in(std::uint32_t block) const {
    return block + 1 < blocks() || rows % block_rows == 0 ? block_rows : rows % block_rows;
  }
  std::uint64_t block_bytes(std::uint32_t rows_inside) const {
    return (rows_inside * row_bytes() + 4 + 63) / 64 * 64;
  }
  std::uint64_t file_bytes() const;
  bool operator==(const ShardShape&) const = default;
};

// Rows per block that dl-shard takes: about 64 KiB, less where there are so many shards that the open
// blocks of all would take more than 64 MiB.
std::uint32_t usual_block_rows(std::uint32_t features, std::uint32_t shards = 1);

Bytes encode_shard_header(const ShardShape& shape);
// 65 where the bytes are no header of version 1, or promise another size than `file_bytes`.
ShardShape decode_shard_header(ByteView bytes, std::uint64_t file_bytes, const std::string& what);

std::uint32_t block_checksum(std::uint32_t number, ByteView before_checksum);

}  // namespace dl::data
