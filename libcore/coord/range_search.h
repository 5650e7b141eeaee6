// SPDX-License-Identifier: MIT
// The best map of units to ranks in contiguous ranges, by dynamic programming over the cuts. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/tree.h"

namespace dl::coord {

// A unit is a range of shards that stays together; units are consecutive and cover all shards. Each
// rank of an order gets a range of units, at least one where there are enough.
class RangeSearch {
 public:
  // `samples` are the units' sizes, `speeds` the ranks'. Both must outlive this. Each rank has `fixed` samples'
  // work besides. Quadratic in units.
  RangeSearch(std::span<const ShardRange> units, std::span<const std::uint64_t> samples,
              std::span<const double> speeds, double fixed = 0);

  // Of the slowest rank, in the best map of this order: its samples, and `fixed`, over its speed.
  double best_pace(std::span<const std::uint32_t> order) const;

  struct Cuts {
    std::uint32_t parts = 0;          // maximal subtrees (base/tree.h): partial sums to send
    double pace = 0;
    std::vector<std::uint32_t> ends;  // of each rank's units, in the order
  };
  // The fewest parts at a pace of at most `limit`, which must not be below best_pace(); among those the
  // best pace.
  Cuts fewest_parts(std::span<const std::uint32_t> order, double limit) const;

 private:
  std::size_t at(std::uint32_t i, std::uint32_t j) const { return std::size_t{i} * (units_ + 1) + j; }
  double pace(std::uint32_t rank, std::uint32_t i, std::uint32_t j) const {
    return (static_cast<double>(before_[j] - before_[i]) + fixed_) / speeds_[rank];
  }

  std::uint32_t units_;
  std::uint32_t least_;  // units of a rank
  std::span<const double> speeds_;
  double fixed_;
  std::vector<std::uint64_t> before_;  // samples of the units before
  std::vector<std::uint32_t> parts_;   // of each range of units
};

}  // namespace dl::coord
