// SPDX-License-Identifier: MIT
#include "train/pipeline_order.h"

#include <algorithm>

namespace dl::train {

std::vector<Turn> one_forward_one_backward(std::uint32_t stage, std::uint32_t stages, std::uint32_t micro_batches) {
  const std::uint32_t ahead = std::min(stages - stage - 1, micro_batches);
  std::vector<Turn> turns;
  turns.reserve(std::size_t{2} * micro_batches);
  for (std::uint32_t m = 0; m < ahead; ++m) turns.push_back({true, m});
  for (std::uint32_t m = 0; m < micro_batches; ++m) {
    if (m + ahead < micro_batches) turns.push_back({true, m + ahead});
    turns.push_back({false, m});
  }
  return turns;
}

}  // namespace dl::train
