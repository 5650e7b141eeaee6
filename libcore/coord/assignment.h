// SPDX-License-Identifier: MIT
// Which rank works on which shard. Pure; may change at any step border without changing a bit.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace dl::coord {

enum class Assignment { random, round_robin, balanced };

Assignment parse_assignment(std::string_view name);  // 64 where there is none of that name
std::string_view name_of(Assignment assignment);

// The rank of each shard. `samples` are the shards' sizes, `threads` what each rank computes with
// (at least one rank, each with at least 1).
//
// random: shards are dealt out in turn in a random order, a pure function of seed and generation: no rank
// has more than one shard more than another. What a cleverer map is worth, is seen beside it.
//
// round_robin: shard s belongs to rank s mod ranks.
//
// balanced: a rank's time is its samples per thread, and the slowest rank sets the pace. Among maps
// with contiguous ranges whose pace is within a twentieth of the best such map, the one with the
// fewest maximal subtrees (base/tree.h: each is one partial sum to send). Shards of very different
// size may be far from balanced that way; where the greedy map (largest shard first, to the rank
// that would be done first; Graham 1969) is faster by more than a tenth, it is taken.
//
// No rank is without a shard unless there are more ranks than shards.
std::vector<std::uint32_t> assign(Assignment assignment, std::span<const std::uint64_t> samples,
                                  std::span<const std::uint32_t> threads, std::uint64_t seed = 0,
                                  std::uint32_t generation = 0);

// Partial sums that all ranks send together under this map; the price of a ragged one.
std::uint64_t count_parts(std::span<const std::uint32_t> owner, std::uint32_t ranks);

// Samples per thread of the slowest rank.
double pace_of(std::span<const std::uint32_t> owner, std::span<const std::uint64_t> samples,
               std::span<const std::uint32_t> threads);

}  // namespace dl::coord
