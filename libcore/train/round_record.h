// SPDX-License-Identifier: MIT
// In which order a round of asynchronous training applied what, so that it can be done again
// (train/replay.h). No linear algebra here.
//
// Its bytes (dl-updates(5)) are numbers of 7 bits a byte, the low ones first, the eighth bit set where more
// follow: first, last, total, shards, parts, units; for each unit its rank, first shard and number of shards;
// the reads by rank, less `first`; the arrivals by part. With N ranks and U units a step takes N^2 + U N bytes,
// as long as a round has fewer than 128 steps and units; at most half as much again in longer ones.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/tree.h"

namespace dl::train {

// A maximal subtree of shards that one rank holds, or, where gradients are compressed, a group of shards
// (comm/codec.h): what its gradients are sums over.
struct Unit {
  ShardRange shards;
  std::uint32_t rank = 0;
  bool operator==(const Unit&) const = default;
};

// One round: steps [first, last) of the run, at whose borders nothing is under way.
struct RoundRecord {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::uint64_t total = 0;  // steps of the whole run, as was meant then: what a schedule looks at
  std::uint32_t shards = 0;
  std::uint32_t parts = 0;
  // Of shards that are compressed together; 0: none. In the log's head, not in these bytes.
  std::uint32_t groups = 0;
  std::vector<Unit> units;  // ascending by rank, then by shard; together all shards
  // By rank: for each step, the version of each part that its gradients were computed at. Empty where the
  // rank has no units. Ranks are as many as parts.
  std::vector<std::vector<std::uint64_t>> reads;
  // By part: the unit of each gradient, in the order in which they came to its owner. A unit's gradients
  // come step by step, so this says which they are.
  std::vector<std::vector<std::uint32_t>> arrivals;

  bool operator==(const RoundRecord&) const = default;
  Bytes encode() const;
  // 65 where anything is not as it must be; `what` names the bytes.
  static RoundRecord decode(ByteView bytes, std::uint32_t groups, const std::string& what);
};

inline constexpr std::uint32_t kMostRecordBytes = 1 << 20;

}  // namespace dl::train
