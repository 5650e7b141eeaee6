// SPDX-License-Identifier: MIT
// In which order what units contribute to an asynchronous step is added, and what a round's steps add up to.
#pragma once

#include <span>
#include <vector>

#include "train/round_record.h"

namespace dl::train {

// The tree over the shards, where each unit is a subtree; or that over the groups, where each is one.
struct UnitTree {
  std::uint32_t leaves = 0;
  std::vector<ShardRange> places;  // by unit: its leaves
};
// 70 where a unit is no group.
UnitTree unit_tree(std::uint32_t shards, std::uint32_t groups, const std::vector<Unit>& units);

// Of a unit in a step.
struct UnitSums {
  double loss = 0;
  double weight = 0;
};

// The sums over all units (in the tree) and steps (one after the other). `sums`: for each step, one of each unit.
UnitSums add_up(const UnitTree& tree, std::span<const UnitSums> sums);

}  // namespace dl::train
