// SPDX-License-Identifier: MIT
// What --compress means for a run: which sums, what is remembered, and what the optimizer still has to do. No linear
// algebra here. comm/codec.h and comm/powersgd.h say how it is done.
#pragma once

#include <cstdint>
#include <vector>

#include "base/tree.h"
#include "comm/compression_state.h"
#include "train/run_config.h"
#include "train/state_layout.h"

namespace dl::train {

bool compresses(const RunConfig& config);
// Of shards; 0 where nothing is compressed.
std::uint32_t compressed_groups(const RunConfig& config);

// For vectors of the parameters.
comm::Compression compression_of(const RunConfig& config, std::uint64_t rounds_per_epoch = 1);

// Which of so many shards have to stay on one node: the groups, of which there may be no more than shards. None where
// nothing is compressed.
std::vector<ShardRange> shards_together(const RunConfig& config, std::uint32_t shards);

// What a compression of vectors of so many floats remembers: "residual.G" of each group of shards, "velocity.G" where
// there is momentum correction, and "basis" where there is one.
std::vector<StateVector> compression_vectors(const RunConfig& config, const comm::Compression& compression,
                                             std::uint64_t floats);

// The optimizer that sync and async give the total to. With topk, momentum is in the sum already (momentum correction,
// comm/codec.h): what is left is its step, without momentum. A weight decay of d then acts as d / (1 - momentum), which
// is what L2 with momentum comes to as long as weights change little in 1 / (1 - momentum) steps.
optim::OptimizerSpec applied_optimizer(const RunConfig& config);

// 64 with what is wrong: a scheme that the mode does not know, or one that makes nothing of this model smaller.
void check_compression(const RunConfig& config);

}  // namespace dl::train
