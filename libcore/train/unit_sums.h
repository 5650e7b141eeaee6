// SPDX-License-Identifier: MIT
// What the steps of an asynchronous round add up to, in the order that shards define.
#pragma once

#include <span>
#include <vector>

#include "train/round_record.h"

namespace dl::train {

// Of a unit in a step.
struct UnitSums {
  double loss = 0;
  double weight = 0;
};

// The sums over all shards (in the tree) and steps (one after the other). `sums`: for each step, one of each
// unit.
UnitSums add_up(std::uint32_t shards, const std::vector<Unit>& units, std::span<const UnitSums> sums);

}  // namespace dl::train
