// SPDX-License-Identifier: MIT
#include "train/round_times.h"

#include <doctest/doctest.h>

#include <vector>

using namespace dl;

TEST_CASE("round times: what a sum takes is not what a rank is held up in a few of them") {
  train::RoundTimes times(0, 2);
  std::optional<coord::Pace> told;
  for (int round = 0; round < 200; ++round) {
    // Rank 1 computes 2 ms, rank 0 one; a sum takes 0.1 ms, and each fifth one 30 ms.
    const double sum = round % 5 == 0 ? 0.030 : 0.0001;
    times.add(1, 0.002 + sum, 0.001, 0.001 + sum, round == 0 ? std::vector<double>{} : std::vector<double>{0.001, 0.002});
    if (auto pace = times.news(1, static_cast<std::uint64_t>(round))) told = pace;
  }
  REQUIRE(told);
  CHECK(told->sum_seconds == doctest::Approx(0.0001));
  CHECK(times.communicating() > 0.9);  // all the same, it is where the time went
}
