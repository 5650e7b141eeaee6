// SPDX-License-Identifier: MIT
// A small problem, and one round of it as the training thread does it.
#pragma once

#include "ranks.h"

namespace dl::test {

inline Problem small(std::uint32_t ranks) {
  Problem problem;
  problem.shards = ranks;
  for (std::uint32_t rank = 0; rank < ranks; ++rank) problem.held.push_back({rank});
  problem.buckets = {{0, 100}, {100, 40000}};
  return problem;
}

inline constexpr net::Milliseconds kLong(20000);

inline void whole_round(comm::Communicator& end, const Problem& problem, std::uint32_t round) {
  contribute(end, problem, round);
  end.post(record_of(problem.record_bytes, round, end.rank()));
  for (std::size_t b = 0; b < problem.buckets.size(); ++b) end.start(b);
  for (std::size_t b = 0; b < problem.buckets.size(); ++b) end.wait(b);
  end.collect();
}

}  // namespace dl::test
