// SPDX-License-Identifier: MIT
// What every rank has to know of a round that is refused.
#pragma once

#include <optional>

#include "comm/communicator.h"
#include "train/group.h"
#include "train/strategy.h"

namespace dl::train {

// Of a loss that is not finite; none: all are.
std::optional<Refusal> refusal_of(const StepTotals& totals);

// Of sums that are not finite: all ranks say which of their shards is the first at fault, if any. Between rounds,
// by all ranks.
Refusal refusal_of_sums(comm::Communicator& communicator, std::optional<std::uint32_t> first_of_mine);

// Computes each of this rank's shards of a step once more, by itself, with the parameters that the model has: the
// first one whose gradient is not finite. A sum does not tell whose part it was.
std::optional<std::uint32_t> first_bad_shard(const Seat& seat, std::uint64_t step);

}  // namespace dl::train
