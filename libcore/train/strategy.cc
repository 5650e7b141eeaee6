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

std::vector<std::uint64_t> Strategy::judging_shares(const Group& group, const data::Manifest& manifest) const {
  std::vector<std::uint64_t> shares(group.size);
  for (std::size_t s = 0; s < group.owner.size(); ++s) shares[group.owner[s]] += manifest.shards.at(s).samples;
  return shares;
}

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
