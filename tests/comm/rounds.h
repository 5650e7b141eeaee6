// SPDX-License-Identifier: MIT
// Rounds as the training thread does them, compared bit for bit with the serial sum.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstring>

#include "ranks.h"

namespace dl::test {

// Several rounds of one rank; "" where everything was as it must be.
inline std::string rounds(comm::Communicator& group, const Problem& problem, std::uint32_t count,
                   const std::vector<std::vector<float>>& totals) {
  const std::uint32_t rank = group.rank();
  const std::span<const float> result = group.result();
  Rng rng(count, Purpose::test, rank);
  for (std::uint32_t round = 0; round < count; ++round) {
    contribute(group, problem, round);
    group.post(record_of(problem.record_bytes, round, rank));
    for (std::size_t b = 0; b < problem.buckets.size(); ++b) {
      if (rng.below(4) == 0) std::this_thread::yield();
      group.start(b);
    }
    for (std::size_t b = problem.buckets.size(); b-- > 0;) group.wait(b);
    for (const auto& [begin, end] : problem.buckets) {
      if (begin < end && std::memcmp(&result[begin], &totals[round][begin], (end - begin) * 4) != 0) {
        return fmt::format("round {}: other bits in [{}, {})", round, begin, end);
      }
    }
    const ByteView records = group.collect();
    for (std::uint32_t r = 0; r < problem.ranks(); ++r) {
      const Bytes expected = record_of(problem.record_bytes, round, r);
      const ByteView got = records.subspan(std::size_t{r} * problem.record_bytes,
                                           problem.record_bytes);
      if (!std::equal(got.begin(), got.end(), expected.begin(), expected.end())) {
        return fmt::format("round {}: another record of rank {}", round, r);
      }
    }
  }
  return "";
}

// Every rank's rounds on a thread of its own, with the end that `join` gives it.
inline void check(const Problem& problem, std::uint32_t count, const std::string& transport,
           const std::function<std::unique_ptr<comm::Communicator>(std::uint32_t)>& join) {
  std::vector<std::vector<float>> totals;
  for (std::uint32_t round = 0; round < count; ++round) totals.push_back(problem.total(round));
  std::vector<std::string> said(problem.ranks());
  const auto thrown = as_threads(problem.ranks(), [&](std::uint32_t rank) {
    const auto end = join(rank);
    CHECK(end->rank() == rank);
    CHECK(end->size() == problem.ranks());
    CHECK(end->transport() == (problem.ranks() == 1 ? "alone" : transport));
    said[rank] = rounds(*end, problem, count, totals);
  });
  for (std::uint32_t rank = 0; rank < problem.ranks(); ++rank) {
    CAPTURE(rank);
    CHECK(thrown[rank] == "");
    CHECK(said[rank] == "");
  }
}

}  // namespace dl::test
