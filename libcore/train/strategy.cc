// SPDX-License-Identifier: MIT
#include "train/strategy.h"

#include "base/error.h"
#include "train/async.h"
#include "train/local.h"
#include "train/pipeline.h"
#include "train/replay.h"
#include "train/sync.h"
#include "train/tensor.h"

namespace dl::train {

std::unique_ptr<Strategy> make_strategy(const Seat& seat) {
  if (!seat.config.replay.empty()) return std::make_unique<Replay>(seat);
  if (seat.config.mode == "sync") return std::make_unique<Sync>(seat);
  if (seat.config.mode == "local") return std::make_unique<Local>(seat);
  if (seat.config.mode == "pipeline") return std::make_unique<Pipeline>(seat);
  if (seat.config.mode == "tensor") return std::make_unique<Tensor>(seat);
  if (seat.config.mode == "async") return std::make_unique<Async>(seat);
  fail(Exit::usage, "--mode: {} is none that this node knows", shown(seat.config.mode));
}

}  // namespace dl::train
