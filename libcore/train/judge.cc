// SPDX-License-Identifier: MIT
#include "train/judge.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace dl::train {

std::vector<std::uint64_t> dealt_by_share(std::uint64_t blocks, std::span<const std::uint64_t> shares) {
  double all = 0, passed = 0;
  for (const std::uint64_t share : shares) all += static_cast<double>(share);
  std::vector<std::uint64_t> ends;
  for (std::size_t r = 0; r < shares.size(); ++r) {
    passed += all > 0 ? static_cast<double>(shares[r]) : 1;
    const double part = passed / (all > 0 ? all : static_cast<double>(shares.size()));
    ends.push_back(static_cast<std::uint64_t>(std::llround(static_cast<double>(blocks) * part)));
  }
  return ends;
}

eval::Score judge(nn::Model& model, std::span<const data::ShardEntry> entries, std::span<const data::Shard> files,
                  const data::Schema& schema, comm::Communicator& group, std::span<const std::uint64_t> shares) {
  std::uint64_t blocks = 0;
  for (const data::ShardEntry& entry : entries) blocks += eval::block_count(static_cast<std::uint32_t>(entry.samples));
  const std::vector<std::uint64_t> ends = dealt_by_share(blocks, shares);
  const auto begin_of = [&](std::uint32_t rank) { return rank == 0 ? 0 : ends.at(rank - 1); };
  std::vector<std::uint32_t> sizes;
  for (std::uint32_t r = 0; r < group.size(); ++r) {
    sizes.push_back(static_cast<std::uint32_t>((begin_of(r + 1) - begin_of(r)) * sizeof(eval::Score)));
  }
  std::vector<eval::Score> mine;
  eval::RowBuffer buffer;
  std::uint64_t first = 0;  // block of the file, among those of all
  for (const data::Shard& rows : files) {
    const std::uint64_t end = first + eval::block_count(rows.rows());
    const std::uint64_t from = std::max(first, begin_of(group.rank()));
    for (std::uint64_t b = from; b < std::min(end, begin_of(group.rank() + 1)); ++b) {
      mine.push_back(eval::score_block(model, rows, schema, static_cast<std::uint32_t>(b - first), buffer));
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
