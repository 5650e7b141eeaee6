// SPDX-License-Identifier: MIT
// What a strategy does to have its sums compressed (dl-coord --compress).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "comm/compressed.h"
#include "train/group.h"
#include "train/replica.h"
#include "train/run_config.h"

namespace dl::train {

// Which groups of shards (comm/codec.h) each rank holds, ascending. 70 where a group is on two ranks.
std::vector<std::vector<std::uint32_t>> groups_by_rank(const Group& group, std::uint32_t groups);

// How many of the rank's shards are in each of its groups: how its batch is grouped in backprop.
std::vector<std::uint32_t> shards_by_group(const Group& group, std::uint32_t groups);

// The plan for comm::make_compressed: one part for each of a rank's groups.
comm::SumPlan compressed_plan(const Group& group, std::uint32_t groups, std::span<const nn::ElementRange> buckets);

// The error feedback of a run, where compression_vectors() put it among the replica's extras.
class FeedbackVectors {
 public:
  FeedbackVectors(Replica& replica, const RunConfig& config, const comm::Compression& compression, const Group& group);

  // Of this rank's groups.
  comm::CompressionState own() const;
  // Makes those of all groups whole on every rank. To be called by all at the same point, between rounds.
  void share(comm::Communicator& all);

 private:
  std::span<float> vector(std::size_t kind, std::uint32_t of_group) const;

  Replica& replica_;
  std::uint32_t groups_;
  std::size_t kinds_;  // vectors of a group
  bool has_basis_;
  std::uint32_t rank_;
  std::vector<std::vector<std::uint32_t>> by_rank_;
};

}  // namespace dl::train
