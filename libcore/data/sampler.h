// SPDX-License-Identifier: MIT
// Which samples of a shard belong to which step: a pure function of manifest, seed, epoch and shard.
#pragma once

#include <cstdint>
#include <vector>

namespace dl::data {

// Steps in an epoch: ceil(samples / batch).
std::uint64_t steps_per_epoch(std::uint64_t samples, std::uint64_t batch);

// Positions [begin, end) of a shard's order that belong to step t of T:
// floor(n*t/T) up to floor(n*(t+1)/T). So shards of any size end together.
struct Positions {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
};
Positions positions_of_step(std::uint32_t shard_rows, std::uint64_t t, std::uint64_t steps);

// The order of a shard's rows in an epoch (from 0).
std::vector<std::uint32_t> epoch_order(std::uint64_t seed, std::uint64_t epoch, std::uint32_t shard,
                                       std::uint32_t rows);

}  // namespace dl::data
