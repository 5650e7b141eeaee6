// SPDX-License-Identifier: MIT
#include "data/shard_format.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/hash.h"
#include "data/schema.h"

namespace dl::data {

namespace {

constexpr std::uint32_t kMostBlockRows = 1U << 20;

}  // namespace

std::uint64_t ShardShape::file_bytes() const {
  if (rows == 0) return kShardHeaderBytes;
  const std::uint32_t last = blocks() - 1;
  return kShardHeaderBytes + last * block_bytes(block_rows) + block_bytes(rows_in(last));
}

std::uint32_t usual_block_rows(std::uint32_t features, std::uint32_t shards) {
  const std::uint32_t bytes = std::min(1U << 16, (1U << 26) / shards);
  return std::max(1U, bytes / 4 / (features + 1));
}

Bytes encode_shard_header(const ShardShape& shape) {
  Bytes out;
  for (const unsigned char byte : kShardMagic) put(out, byte);
  put(out, kShardVersion);
  put(out, shape.weights ? kShardFlagWeights : std::uint32_t{0});
  put(out, shape.rows);
  put(out, shape.features);
  put(out, shape.targets);
  put(out, shape.classes);
  put(out, shape.block_rows);
  put(out, std::uint32_t{0});
  put(out, shape.file_bytes());
  out.resize(kShardHeaderBytes - 4);
  put(out, crc32c(out));
  return out;
}

ShardShape decode_shard_header(ByteView bytes, std::uint64_t file_bytes, const std::string& what) {
  if (bytes.size() < kShardHeaderBytes) {
    fail(Exit::data, "{}: {} bytes long, but a shard has at least {}; it is truncated", what,
         bytes.size(), kShardHeaderBytes);
  }
  bytes = bytes.first(kShardHeaderBytes);
  if (std::memcmp(bytes.data(), kShardMagic.data(), kShardMagic.size()) != 0) {
    fail(Exit::data, "{}: not a shard of dl (its first 8 bytes are others)", what);
  }
  ByteReader reader(bytes.subspan(kShardMagic.size()), what);
  const auto version = reader.get<std::uint32_t>();
  if (version != kShardVersion) {
    fail(Exit::data, "{}: shard version {} is not known here (only {} is); use a newer dl", what,
         version, kShardVersion);
  }
  const auto flags = reader.get<std::uint32_t>();
  ShardShape shape;
  shape.rows = reader.get<std::uint32_t>();
  shape.features = reader.get<std::uint32_t>();
  shape.targets = reader.get<std::uint32_t>();
  shape.classes = reader.get<std::uint32_t>();
  shape.block_rows = reader.get<std::uint32_t>();
  const auto zero = reader.get<std::uint32_t>();
  const auto size = reader.get<std::uint64_t>();
  shape.weights = (flags & kShardFlagWeights) != 0;
  std::uint32_t sum = 0;
  std::memcpy(&sum, bytes.data() + kShardHeaderBytes - 4, 4);
  if (crc32c(bytes.first(kShardHeaderBytes - 4)) != sum) {
    fail(Exit::data, "{}: offset 0: the header's checksum is wrong; the file is damaged", what);
  }
  const auto refuse_unless = [&](bool good, const char* why) {
    if (!good) fail(Exit::data, "{}: offset 0: bad header: {}", what, why);
  };
  const ByteView reserved = bytes.subspan(48, 12);
  refuse_unless((flags & ~kShardFlagWeights) == 0, "unknown flags");
  refuse_unless(zero == 0 && std::all_of(reserved.begin(), reserved.end(),
                                         [](std::byte b) { return b == std::byte{0}; }),
                "reserved bytes are not 0");
  refuse_unless(shape.features >= 1 && shape.features <= kMostFeatures, "number of features");
  refuse_unless((shape.classes == 0) != (shape.targets == 0), "neither classes nor numbers, or both");
  refuse_unless(shape.classes <= kMostClasses && shape.targets <= kMostTargets,
                "number of classes or targets");
  refuse_unless(shape.block_rows >= 1 && shape.block_rows <= kMostBlockRows, "rows of a block");
  // blocks < 2^32 and a block < 2^47 bytes: a product that 64 bits might not hold is asked for only
  // where the file is long enough for it.
  refuse_unless(shape.rows == 0 ||
                    shape.block_bytes(shape.block_rows) <= UINT64_MAX / 2 / shape.blocks(),
                "more rows than a file can hold");
  refuse_unless(shape.file_bytes() == size, "its size does not fit its rows");
  if (size != file_bytes) {
    fail(Exit::data, "{}: {} bytes long, but its header says {}; it is truncated or damaged", what,
         file_bytes, size);
  }
  return shape;
}

std::uint32_t block_checksum(std::uint32_t number, ByteView before_checksum) {
  return crc32c(before_checksum, crc32c(std::as_bytes(std::span(&number, 1))));
}

}  // namespace dl::data
