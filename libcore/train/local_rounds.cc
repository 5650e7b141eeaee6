// SPDX-License-Identifier: MIT
#include "train/local_rounds.h"

#include <algorithm>

namespace dl::train {

std::uint64_t LocalRounds::before(std::uint64_t step) const {
  std::uint64_t rounds = 0;
  for (std::uint64_t at = 0; at < step;) {
    std::uint64_t border = std::min(step, at + per_epoch_ - at % per_epoch_);
    if (every_ > 0) border = std::min(border, at + every_ - at % every_);
    rounds += (border - at + per_round_ - 1) / per_round_;
    at = border;
  }
  return rounds;
}

}  // namespace dl::train
