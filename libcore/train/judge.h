// SPDX-License-Identifier: MIT
// How good the model is on held-out rows, found out by the whole group together.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "data/manifest.h"
#include "data/shard.h"
#include "eval/score.h"
#include "nn/model.h"

namespace dl::train {

// Where the blocks of each rank end, if `blocks` of them are dealt in rank order by shares (at least one rank;
// where all shares are 0, they are equal). A rank without a share gets none.
std::vector<std::uint64_t> dealt_by_share(std::uint64_t blocks, std::span<const std::uint64_t> shares);

// Each rank judges a run of blocks (eval::kBlockRows rows each, of one file after the other), dealt by
// `shares`, and needs the files of `entries` if it has a share; every rank gets the same total, added in block
// order, whatever the shares. Every rank must call it at the same point.
eval::Score judge(nn::Model& model, std::span<const data::ShardEntry> entries, std::span<const data::Shard> files,
                  const data::Schema& schema, comm::Communicator& group, std::span<const std::uint64_t> shares);

}  // namespace dl::train
