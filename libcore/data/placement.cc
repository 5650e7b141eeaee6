// SPDX-License-Identifier: MIT
#include "data/placement.h"

namespace dl::data {

std::uint32_t Placement::look(std::uint64_t sample) {
  constexpr std::size_t kMostKnown = std::size_t{1} << 22;
  std::uint32_t place = shards();
  switch (split_.part_of(sample)) {
    case Part::training: place = distribution_.shard_of(training_++); break;
    case Part::test: break;
    case Part::validation: ++place; break;
  }
  if (sample == known_.size() && sample < kMostKnown) {
    known_.push_back(static_cast<std::uint16_t>(place));
  }
  return place;
}

}  // namespace dl::data
