// SPDX-License-Identifier: MIT
// A shard as it is, and with its checksums put right, so that what stands behind them is reached.
#include <cstring>

#include "base/hash.h"
#include "data/shard.h"
#include "data/shard_format.h"
#include "target.h"

namespace {

void read(std::string_view bytes) {
  using namespace dl;
  const fuzz::MemoryFile file(bytes);
  fuzz::accepted([&] {
    const data::Shard shard(file.path());
    double sum = 0;
    for (std::uint32_t i = 0; i < shard.rows(); ++i) {
      for (const float x : shard.row(i)) sum += x;
      if (shard.classes() > 0) {
        fuzz::must(shard.label(i) < shard.classes(), "classes are in range");
      } else {
        for (const float x : shard.numbers(i)) sum += x;
      }
      sum += shard.weight(i);
    }
  });
}

// The header's checksum is its last number; a block's stands behind its rows.
void repair(std::string& bytes) {
  using namespace dl;
  const auto view = [&bytes](std::uint64_t at, std::uint64_t size) {
    return ByteView(reinterpret_cast<const std::byte*>(bytes.data()) + at, size);
  };
  const std::uint32_t crc = crc32c(view(0, data::kShardHeaderBytes - 4));
  std::memcpy(bytes.data() + data::kShardHeaderBytes - 4, &crc, sizeof crc);
  fuzz::accepted([&] {
    const auto shape = data::decode_shard_header(view(0, data::kShardHeaderBytes), bytes.size(), "fuzz");
    std::uint64_t at = data::kShardHeaderBytes;
    for (std::uint32_t block = 0; block < shape.blocks(); ++block) {
      const std::uint64_t size = shape.block_bytes(shape.rows_in(block));
      const std::uint32_t sum = data::block_checksum(block, view(at, size - 4));
      std::memcpy(bytes.data() + at + size - 4, &sum, sizeof sum);
      at += size;
    }
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dl;
  const auto bytes = fuzz::text_of(data, size);
  read(bytes);
  if (size < data::kShardHeaderBytes) return 0;
  std::string repaired(bytes);
  repair(repaired);
  read(repaired);
  return 0;
}
