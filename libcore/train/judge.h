// SPDX-License-Identifier: MIT
// How good the model is on held-out rows, found out by the whole group together.
#pragma once

#include <span>

#include "comm/communicator.h"
#include "data/manifest.h"
#include "data/shard.h"
#include "eval/score.h"
#include "nn/model.h"

namespace dl::train {

// The first `judges` ranks judge a run of blocks each (eval::kBlockRows rows each, of one file after the
// other), and need the files of `entries`; every rank gets the same total, added in block order. Every rank
// must call it at the same point.
eval::Score judge(nn::Model& model, std::span<const data::ShardEntry> entries, std::span<const data::Shard> files,
                  const data::Schema& schema, comm::Communicator& group, std::uint32_t judges);

}  // namespace dl::train
