// SPDX-License-Identifier: MIT
// Who contributes what to an asynchronous step, and who owns which part: pure functions of the group.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "comm/part_codes.h"
#include "train/async_part.h"
#include "train/group.h"
#include "train/replica.h"
#include "train/run_config.h"

namespace dl::train {

// Of all ranks, ascending by rank, then by shard: maximal subtrees, or, where so many groups of shards are compressed,
// these. 70 where one of them is on two ranks.
std::vector<Unit> units_of(const Group& group, std::uint32_t groups);
// The numbers of a rank's units.
std::vector<std::uint32_t> units_at(const std::vector<Unit>& units, std::uint32_t rank);
// One for each rank, together all elements: each begins at a multiple of 16, and is as long, against the others, as
// the rank has shards; so one that is slow, and was given few, has little to serve. It may be empty.
std::vector<nn::ElementRange> parts_of(std::uint64_t elements, std::span<const Unit> units, std::uint32_t ranks);

UpdateRule update_rule(const RunConfig& config, std::uint64_t samples, std::vector<Unit> units, std::uint32_t shards,
                       std::vector<nn::ElementRange> parts);
// The owner of a part, as a whole state has it.
PartOwner own_part(const UpdateRule& rule, Replica& replica, std::uint32_t part);

// How gradients of these parts are compressed; nothing where they are not. The model's buckets are compressed by
// themselves, as in mode sync.
std::optional<comm::PartCodes> part_codes(const RunConfig& config, std::uint64_t steps_per_epoch, nn::Model& model,
                                          const std::vector<nn::ElementRange>& parts);

// Whether a rank may begin a step (from 0), where so many steps of each rank are applied (PartOwner::applied): none
// of them may be more than `max_staleness` behind. Without that bound, the rank may be most_under_way() steps ahead
// of itself.
bool may_begin(std::uint64_t step, std::uint32_t rank, std::span<const std::uint64_t> applied,
               const std::optional<std::uint64_t>& max_staleness, std::uint64_t most_under_way);
// Eight, or as many as make an update by themselves: with fewer, a rank of few shards could wait for one that
// nobody else brings about.
std::uint64_t most_under_way(const std::vector<Unit>& units, std::uint32_t rank);

// Messages and gathers only: nothing is added over the communicator. A message is at most `head` bytes and a
// part's floats, or what codes make of them.
comm::SumPlan message_plan(const Group& group, const UpdateRule& rule, const std::optional<comm::PartCodes>& codes,
                           std::uint64_t head);

// So long a round may be that its record, and what ranks gather for it, stay below their bounds. 64 where not
// even one step does.
std::uint64_t most_round_steps(std::uint64_t units, std::uint64_t ranks);

}  // namespace dl::train
