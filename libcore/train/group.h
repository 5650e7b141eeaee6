// SPDX-License-Identifier: MIT
// Who holds which shard in one generation, and what follows for the sums.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "comm/communicator.h"
#include "nn/model.h"

namespace dl::train {

// A value; the same on every rank but for `rank`.
struct Group {
  std::uint32_t generation = 0;
  std::uint32_t rank = 0;
  std::uint32_t size = 1;
  std::vector<std::uint32_t> owner;  // rank of each shard
  // Pipeline: how many layers, from the inputs up, each stage has (coord/stages.h); else empty.
  std::vector<std::uint32_t> stage_layers = {};

  // Tensor: rank of each block of hidden units (nn/blocking.h); else empty.
  std::vector<std::uint32_t> block_owner = {};

  std::vector<std::uint32_t> shards_of(std::uint32_t of_rank) const;  // ascending
  std::vector<std::uint32_t> blocks_of(std::uint32_t of_rank) const;
  // Whose rows this rank computes with: its own shards', in mode tensor those of all.
  std::vector<std::uint32_t> shards_read() const;
  // What the group adds in a step of this model. A record is laid out by StepRecord.
  comm::SumPlan sum_plan(std::span<const nn::ElementRange> buckets) const;
  // Segments of each of this rank's parts: how its batch is grouped in backprop.
  std::vector<std::uint32_t> group_sizes() const;
};

// The small record that every rank shares with all others in each round.
//   u32 bits, u32 zero, double seconds, then for each shard of the rank: double loss sum, double weight
// The seconds are those that the rank computed in the round before; NaN: there was none. They tell how
// fast it is, and nothing that reaches the parameters looks at them.
struct StepRecord {
  static std::uint32_t bytes(const Group& group);
  static void write(Bytes& out, std::uint32_t size, std::uint32_t bits,
                    std::span<const double> losses, std::span<const double> weights,
                    double busy_before = std::numeric_limits<double>::quiet_NaN());
};

// Everyone's records, put together.
struct StepTotals {
  std::uint32_t bits = 0;            // of all ranks, or-ed
  double loss = 0;                   // summed in the tree
  double weight = 0;
  std::vector<double> busy_before;   // of each rank: seconds of computing in the step before
  std::uint32_t bad_shard = UINT32_MAX;  // the first one whose loss is not finite
};
StepTotals read_records(const Group& group, ByteView records);
// 65 where a shard's loss is not; nothing of the round of these steps may have been applied.
void check_finite(const StepTotals& totals, std::uint64_t first_step, std::uint64_t last_step);

}  // namespace dl::train
