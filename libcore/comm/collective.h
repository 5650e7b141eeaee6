// SPDX-License-Identifier: MIT
// The ways to make a sum over TCP, and which one to take. All of them add in the canonical tree (base/tree.h), so they
// give the same bits; they differ in how many messages follow each other and in the bytes that a link carries.
//
//   direct    each rank owns a part of the vector, adds what all ranks have of it and sends the total to all: two
//             rounds, the fewest bytes a link can carry. Short vectors go from all to all in one round (comm/mesh.h).
//   doubling  recursive doubling (Thakur, Rabenseifner, Gropp: Optimization of Collective Communication Operations in
//             MPICH, 2005, section 4.5). In round l ranks that are 2^l apart exchange what they have, and both add it:
//             log2 n rounds, in each the whole vector and one message. For two ranks that is one exchange.
//   tree      slices of the vector go up the canonical tree, whose inner nodes are dealt to the ranks, and come down
//             from rank to rank, one slice behind the other: a few messages for each slice, however many ranks.
//
// No sockets here, so that dl-coord and a run's configuration can read it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "comm/communicator.h"

namespace dl::comm {

enum class Collective : std::uint8_t { direct, doubling, tree };

std::string_view name_of(Collective collective);
// "auto" is none; 64 with what is allowed where it is no name.
std::optional<Collective> parse_collective(std::string_view name);

// Whether this map of shards to ranks allows it. Direct always; doubling where the number of ranks is a power of two,
// each has one part, and all parts are equally deep in the tree; tree where there are parts, and no more than four
// times as many as ranks, since each travels whole.
bool possible(Collective collective, std::uint32_t shards, const std::vector<std::vector<ShardRange>>& parts_of_rank);

// What a group's links cost, in seconds: the worst of all ranks (comm/links.h).
struct LinkCost {
  double exchange = 0;  // everybody sends everybody an empty message, and has all of them
  double pair = 0;      // the same between two
  double byte = 0;      // a byte more that each rank receives while it sends as many
  bool operator==(const LinkCost&) const = default;
};

// How buckets are cut (comm/layout.h).
struct Cut {
  std::uint64_t one_round_bytes = 0;  // direct: buckets whose parts are together at most this long take one round
  std::uint64_t slice_bytes = 0;      // the longest frame
};

// What buckets of one plan cost. Pure; immutable.
class SumCost {
 public:
  SumCost(const SumPlan& plan, const Cut& cut);

  // Seconds until every rank has the total of so many elements; infinite where it is not possible.
  double seconds(Collective collective, std::uint64_t elements, const LinkCost& link) const;

 private:
  double ranks_, parts_;
  Cut cut_;
  double in_ = 0, out_ = 0;  // parts that go to, and from, the rank with most, where all send all parts to all
  bool doubling_ = false, tree_ = false;
  double tree_hops_ = 0;     // messages that wait for each other
  double tree_vectors_ = 0;  // that the busiest rank receives or sends
};

// The collective of each bucket: a pure function, so that ranks with equal arguments agree. A wish that is not
// possible is direct. Without a wish it is the cheapest, but direct where another one saves less than a tenth.
std::vector<Collective> choose(const SumPlan& plan, std::optional<Collective> wish, const LinkCost& link,
                               const Cut& cut);

}  // namespace dl::comm
