// SPDX-License-Identifier: MIT
// Who contributes what to an asynchronous step, and who owns which part: pure functions of the group.
#pragma once

#include <cstdint>
#include <vector>

#include "comm/communicator.h"
#include "train/async_part.h"
#include "train/group.h"
#include "train/replica.h"
#include "train/run_config.h"

namespace dl::train {

// Of all ranks, ascending by rank, then by shard.
std::vector<Unit> units_of(const Group& group);
// The numbers of a rank's units.
std::vector<std::uint32_t> units_at(const std::vector<Unit>& units, std::uint32_t rank);
// One for each rank, together all elements.
std::vector<nn::ElementRange> parts_of(std::uint64_t elements, std::uint32_t parts);

UpdateRule update_rule(const RunConfig& config, std::uint64_t samples, std::vector<Unit> units, std::uint32_t shards);
// The owner of a part, as a whole state has it.
PartOwner own_part(const UpdateRule& rule, Replica& replica, nn::ElementRange range);

// Messages and gathers only: nothing is added over the communicator. A message is at most `head` bytes and a
// part's floats.
comm::SumPlan message_plan(const Group& group, std::uint64_t elements, std::uint64_t head);

// So long a round may be that its record, and what ranks gather for it, stay below their bounds. 64 where not
// even one step does.
std::uint64_t most_round_steps(std::uint64_t units, std::uint64_t ranks);

}  // namespace dl::train
