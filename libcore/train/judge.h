// SPDX-License-Identifier: MIT
// How good the model is on held-out rows, found out by the whole group together.
#pragma once

#include <span>

#include "comm/communicator.h"
#include "data/shard.h"
#include "eval/score.h"
#include "nn/model.h"

namespace dl::train {

// Every rank judges a run of blocks (eval::kBlockRows rows each, of one file after the other); every rank gets the same total,
// added in block order. Every rank must call it at the same point.
eval::Score judge(nn::Model& model, std::span<const data::Shard> files, const data::Schema& schema,
                  comm::Communicator& group);

}  // namespace dl::train
