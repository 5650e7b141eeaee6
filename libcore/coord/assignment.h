// SPDX-License-Identifier: MIT
// Which rank works on which shard. Pure; may change at any step border without changing a bit.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/tree.h"

namespace dl::coord {

enum class Assignment { random, round_robin, balanced, adaptive };

Assignment parse_assignment(std::string_view name);  // 64 where there is none of that name
std::string_view name_of(Assignment assignment);

// What there is to do: shards of so many samples. Ranks get whole units, which are consecutive ranges
// of shards that cover all of them; without any, each shard is one.
struct Tasks {
  std::span<const std::uint64_t> samples;
  std::span<const ShardRange> units = {};
  double fixed = 0;  // what every rank does besides (the update), as so many samples' work
};

// The rank of each shard. `speeds` are the ranks' (at least one; what is not above 0 counts as 1), in
// samples per second or any other unit that is common to all.
//
// random: units are dealt out in turn in a random order, a pure function of seed and generation: no rank
// has more than one more than another. What a cleverer map is worth, is seen beside it.
//
// round_robin: unit u belongs to rank u mod ranks.
//
// balanced and adaptive: a rank's time is its samples, and what it does besides, over its speed, and the slowest rank sets the
// pace. Among maps with contiguous ranges whose pace is within a twentieth of the best such map, the one
// with the fewest maximal subtrees (base/tree.h: each is one partial sum to send). Shards of very
// different size may be far from balanced that way; where the greedy map (largest first, to the rank
// that would be done first; Graham 1969) is faster by more than a tenth, it is taken.
//
// No rank is without a shard unless there are more ranks than units.
std::vector<std::uint32_t> assign(Assignment assignment, const Tasks& tasks, std::span<const double> speeds,
                                  std::uint64_t seed = 0, std::uint32_t generation = 0);

// The map for a group that trains with `owner` and has been measured: speeds in samples per second of
// computing, and `part_seconds`, what one more partial sum of the whole group would cost in a step. The
// least of pace + parts * part_seconds; where others gain less than a hundredth, the one that leaves
// the ranges in their present order.
std::vector<std::uint32_t> reassign(const Tasks& tasks, std::span<const double> speeds,
                                    std::span<const std::uint32_t> owner, double part_seconds);

// Partial sums that all ranks send together under this map; the price of a ragged one.
std::uint64_t count_parts(std::span<const std::uint32_t> owner, std::uint32_t ranks);

// Samples, and what is done besides, over speed, of the slowest rank.
double pace_of(std::span<const std::uint32_t> owner, std::span<const std::uint64_t> samples,
               std::span<const double> speeds, double fixed = 0);

// Speeds that nodes declare of themselves are measured in a moment, and no better than a sixth: who is
// no more than that slower than a faster one counts as equally fast. So equal machines get equal work.
std::vector<double> evened(std::span<const double> speeds);

}  // namespace dl::coord
