// SPDX-License-Identifier: MIT
// In which order a stage of a pipeline works through the micro-batches of a step.
#pragma once

#include <cstdint>
#include <vector>

namespace dl::train {

struct Turn {
  bool forward = true;  // or backward
  std::uint32_t micro_batch = 0;
  bool operator==(const Turn&) const = default;
};

// One forward, one backward (1F1B: Narayanan et al., "PipeDream", SOSP 2019, section 3.2), with a flush at
// the step's end, so that every micro-batch meets the same parameters: stage k of K begins with K - k - 1
// forwards, then takes a forward and a backward in turn, then the backwards that are left. So at most
// K - k micro-batches are under way above it, and each comes back in the order in which it went.
std::vector<Turn> one_forward_one_backward(std::uint32_t stage, std::uint32_t stages, std::uint32_t micro_batches);

}  // namespace dl::train
