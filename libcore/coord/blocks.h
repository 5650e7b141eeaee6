// SPDX-License-Identifier: MIT
// Which blocks of hidden units are whose in mode tensor. Pure; cannot change a bit of the result, only the time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dl::coord {

// Of a step, all rows.
struct BlockCosts {
  double common_flops = 0;    // of what every rank computes
  std::vector<double> flops;  // of each block
  double part_bytes = 0;      // of one partial sum, over all that is added in the step
};

struct BlockMap {
  std::vector<std::uint32_t> owner;  // rank of each block
  double seconds = 0;                // of a step, as predicted
};

// What a step takes where each rank computes what is common and its own blocks, at `flops_per_second`, and all
// partial sums (base/tree.h) pass one link (kBytesOfLink). A rank alone sends none.
double predict_step(const BlockCosts& costs, std::span<const std::uint32_t> owner,
                    std::span<const double> flops_per_second);

// The fastest map in contiguous ranges, in the order of the ranks and at least a block for each, by exact
// search. At least one rank, and no more than there are blocks.
BlockMap split_blocks(const BlockCosts& costs, std::span<const double> flops_per_second);

}  // namespace dl::coord
