// SPDX-License-Identifier: MIT
#include "train/judge.h"

#include <vector>

namespace dl::train {

eval::Score judge(nn::Model& model, const data::Shard& rows, const data::Schema& schema,
                  comm::Communicator& group) {
  const std::uint64_t blocks = eval::block_count(rows.rows());
  const auto begin_of = [&](std::uint64_t rank) {
    return static_cast<std::uint32_t>(blocks * rank / group.size());
  };
  std::vector<std::uint32_t> sizes;
  for (std::uint32_t r = 0; r < group.size(); ++r) {
    sizes.push_back(static_cast<std::uint32_t>((begin_of(r + 1) - begin_of(r)) * sizeof(eval::Score)));
  }
  std::vector<eval::Score> mine;
  for (std::uint32_t b = begin_of(group.rank()); b < begin_of(group.rank() + 1); ++b) {
    mine.push_back(eval::score_block(model, rows, schema, b));
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
