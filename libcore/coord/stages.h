// SPDX-License-Identifier: MIT
// Which layers are whose in a pipeline. Pure; cannot change a bit of the result, only the time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dl::coord {

struct LayerCost {
  double flops = 0;         // of a step, forward and backward, all rows
  double border_bytes = 0;  // of a step, of what crosses between this layer and the next: both ways
};

struct Split {
  std::vector<std::uint32_t> layers;  // of each stage, from the inputs up
  double seconds = 0;                 // of a step, as predicted
};

// What a prediction assumes of machines that nobody has measured: an AVX-512 thread, and a link of 1 Gbit/s.
inline constexpr double kFlopsOfThread = 1.5e11;
inline constexpr double kBytesOfLink = 1.25e8;

// The fastest split into threads.size() stages of at least one layer each, by exact search over all contiguous
// ones. With m micro-batches, one at a time in each stage and on each border, a step takes what the slowest of
// these needs for m - 1 of them, and what all need for one. `threads` are those of each stage's slowest rank;
// at least one, and no more than there are layers.
Split split_layers(std::span<const LayerCost> layers, std::span<const std::uint32_t> threads,
                   std::uint32_t micro_batches);

}  // namespace dl::coord
