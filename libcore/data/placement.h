// SPDX-License-Identifier: MIT
// Where each sample goes: to a shard, or to a part that is held out.
#pragma once

#include <cstdint>
#include <vector>

#include "data/distribution.h"
#include "data/split.h"

namespace dl::data {

// Goes through the samples in order, as often as wanted. Places are computed once for the first 2^22
// samples (8 MiB) and anew for those behind them, so that memory stays bounded.
class Placement {
 public:
  Placement(const Split& split, const Distribution& distribution)
      : split_(split), distribution_(distribution) {}

  void restart() { sample_ = training_ = 0; }
  // The next sample's place: a shard, or shards() for the test, shards() + 1 for the validation part.
  std::uint32_t next() {
    const std::uint64_t sample = sample_++;
    if (sample >= known_.size()) return look(sample);
    training_ += known_[sample] < shards();
    return known_[sample];
  }
  std::uint32_t shards() const { return distribution_.shards(); }

 private:
  std::uint32_t look(std::uint64_t sample);

  Split split_;
  Distribution distribution_;
  std::uint64_t sample_ = 0, training_ = 0;  // passed so far
  std::vector<std::uint16_t> known_;
};

}  // namespace dl::data
