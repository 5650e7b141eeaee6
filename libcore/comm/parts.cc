// SPDX-License-Identifier: MIT
#include "comm/parts.h"

#include <algorithm>

namespace dl::comm {

Parts::Parts(const SumPlan& plan) : of_rank_(plan.ranks()) {
  struct Owned {
    ShardRange range;
    std::uint32_t rank;
    std::size_t index;
  };
  std::vector<Owned> all;
  for (std::uint32_t rank = 0; rank < plan.ranks(); ++rank) {
    const auto& parts = plan.parts_of_rank[rank];
    of_rank_[rank].resize(parts.size());
    for (std::size_t i = 0; i < parts.size(); ++i) all.push_back({parts[i], rank, i});
  }
  std::sort(all.begin(), all.end(),
            [](const Owned& a, const Owned& b) { return a.range.begin < b.range.begin; });
  for (const Owned& owned : all) {
    of_rank_[owned.rank][owned.index] = static_cast<std::uint32_t>(ranges_.size());
    ranges_.push_back(owned.range);
  }
}

}  // namespace dl::comm
