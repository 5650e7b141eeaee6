// SPDX-License-Identifier: MIT
// All ranks' parts in the order of the tree.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "comm/communicator.h"

namespace dl::comm {

// Immutable. A part's number is its place among all parts, ascending by shard.
class Parts {
 public:
  explicit Parts(const SumPlan& plan);

  std::uint32_t count() const { return static_cast<std::uint32_t>(ranges_.size()); }
  std::uint32_t ranks() const { return static_cast<std::uint32_t>(of_rank_.size()); }
  std::uint32_t count(std::uint32_t rank) const {
    return static_cast<std::uint32_t>(of_rank_[rank].size());
  }
  std::span<const ShardRange> ranges() const { return ranges_; }
  // The numbers of a rank's parts, in that rank's order.
  std::span<const std::uint32_t> of_rank(std::uint32_t rank) const { return of_rank_[rank]; }

 private:
  std::vector<ShardRange> ranges_;
  std::vector<std::vector<std::uint32_t>> of_rank_;
};

}  // namespace dl::comm
