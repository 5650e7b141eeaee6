// SPDX-License-Identifier: MIT
// Where rounds of local steps end, and so their numbers. Pure.
#pragma once

#include <cstdint>

#include "train/run_config.h"

namespace dl::train {

// A round has --local-steps steps, or fewer up to the next border: the end of an epoch, a checkpoint's step.
class LocalRounds {
 public:
  LocalRounds(const RunConfig& config, std::uint64_t steps_per_epoch)
      : per_round_(config.agreement.local_steps), per_epoch_(steps_per_epoch), every_(config.checkpoint_every) {}

  // Those that have ended when so many steps are done. A number of its own for each end of a round, whoever
  // counts, and after how many starts.
  std::uint64_t before(std::uint64_t step) const;

 private:
  std::uint64_t per_round_, per_epoch_, every_;
};

}  // namespace dl::train
