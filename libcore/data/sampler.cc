// SPDX-License-Identifier: MIT
#include "data/sampler.h"

#include "base/error.h"
#include "base/rng.h"

namespace dl::data {

std::uint64_t steps_per_epoch(std::uint64_t samples, std::uint64_t batch) {
  if (batch == 0) fail(Exit::bug, "a batch of 0 samples");
  return samples / batch + (samples % batch != 0 ? 1 : 0);
}

Positions positions_of_step(std::uint32_t shard_rows, std::uint64_t t, std::uint64_t steps) {
  if (t >= steps) fail(Exit::bug, "step {} of an epoch of {} steps", t, steps);
  __extension__ using Wide = unsigned __int128;  // rows times steps may pass 2^64
  const auto border = [&](std::uint64_t step) {
    return static_cast<std::uint32_t>(Wide{shard_rows} * step / steps);
  };
  return {border(t), border(t + 1)};
}

std::vector<std::uint32_t> epoch_order(std::uint64_t seed, std::uint64_t epoch, std::uint32_t shard,
                                       std::uint32_t rows) {
  if (epoch > UINT32_MAX) fail(Exit::usage, "epoch {}: at most {} are possible", epoch, UINT32_MAX);
  return permutation(rows, Rng(seed, Purpose::epoch_order, static_cast<std::uint32_t>(epoch), shard));
}

}  // namespace dl::data
