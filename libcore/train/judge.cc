// SPDX-License-Identifier: MIT
#include "train/judge.h"

#include <algorithm>
#include <vector>

namespace dl::train {

eval::Score judge(nn::Model& model, std::span<const data::ShardEntry> entries, std::span<const data::Shard> files,
                  const data::Schema& schema, comm::Communicator& group, std::uint32_t judges) {
  std::uint64_t blocks = 0;
  for (const data::ShardEntry& entry : entries) blocks += eval::block_count(static_cast<std::uint32_t>(entry.samples));
  const auto begin_of = [&](std::uint64_t rank) {
    return blocks * std::min<std::uint64_t>(rank, judges) / judges;
  };
  std::vector<std::uint32_t> sizes;
  for (std::uint32_t r = 0; r < group.size(); ++r) {
    sizes.push_back(static_cast<std::uint32_t>((begin_of(r + 1) - begin_of(r)) * sizeof(eval::Score)));
  }
  std::vector<eval::Score> mine;
  std::uint64_t first = 0;  // block of the file, among those of all
  for (const data::Shard& rows : files) {
    const std::uint64_t end = first + eval::block_count(rows.rows());
    const std::uint64_t from = std::max(first, begin_of(group.rank()));
    for (std::uint64_t b = from; b < std::min(end, begin_of(group.rank() + 1)); ++b) {
      mine.push_back(eval::score_block(model, rows, schema, static_cast<std::uint32_t>(b - first)));
    }
    first = end;
  }
  const ByteView all = group.gather(std::as_bytes(std::span<const eval::Score>(mine)), sizes);
  eval::Score total;
  for (std::size_t at = 0; at < all.size(); at += sizeof(eval::Score)) {
    eval::Score block;
    std::memcpy(&block, all.data() + at, sizeof block);
    total.add(block);
  }
  return total;
}

}  // namespace dl::train
