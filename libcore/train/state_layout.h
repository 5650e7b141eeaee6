// SPDX-License-Identifier: MIT
// What a state consists of: the parameters, the optimizer's slots, and what else the mode remembers from
// step to step. The wire, checkpoints and replicas follow it. No linear algebra here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "train/run_config.h"

namespace dl::train {

struct StateVector {
  std::string name;  // in a checkpoint: state.<name>
  std::uint64_t floats = 0;
};

// Behind the parameters and the slots, in this order. A pure function of the run. All are zero at step 0 but the
// last one with --on-nan rollback: "rollback", all that is before it as it was at the newest checkpoint.
std::vector<StateVector> extra_vectors(const RunConfig& config);

// Of a whole state.
std::uint64_t state_floats(const RunConfig& config);

// Whether, while it trains, a node lacks parts of the state that others hold. When a group of such a run
// breaks, it goes back to the newest mirror of a survivor, or the state that the coordinator keeps.
bool held_apart(const RunConfig& config);

}  // namespace dl::train
