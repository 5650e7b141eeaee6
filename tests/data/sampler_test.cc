// SPDX-License-Identifier: MIT
#include "data/sampler.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

using namespace dl::data;

TEST_CASE("sampler: an epoch has ceil(samples / batch) steps") {
  CHECK(steps_per_epoch(8000, 128) == 63);
  CHECK(steps_per_epoch(256, 128) == 2);
  CHECK(steps_per_epoch(1, 128) == 1);
  CHECK(steps_per_epoch(0, 128) == 0);
  CHECK(steps_per_epoch(UINT64_MAX, 2) == (std::uint64_t{1} << 63));
}

TEST_CASE("sampler: the steps of an epoch use each position of a shard once, in order") {
  for (const std::uint32_t rows : {0U, 1U, 5U, 999U, 1000U, 1001U}) {
    for (const std::uint64_t steps : {1U, 2U, 7U, 63U, 1000U, 2500U}) {
      std::uint32_t at = 0;
      for (std::uint64_t t = 0; t < steps; ++t) {
        const Positions positions = positions_of_step(rows, t, steps);
        CHECK(positions.begin == at);
        CHECK(positions.end >= at);
        CHECK(positions.end - at <= rows / steps + 1);
        at = positions.end;
      }
      CHECK(at == rows);
    }
  }
}

TEST_CASE("sampler: positions do not overflow") {
  const std::uint64_t steps = std::uint64_t{1} << 40;
  CHECK(positions_of_step(UINT32_MAX, steps - 1, steps).end == UINT32_MAX);
  CHECK(positions_of_step(UINT32_MAX, steps / 2, steps).begin == UINT32_MAX / 2);
}

TEST_CASE("sampler: the order of an epoch is a permutation that depends on seed, epoch and shard") {
  const auto order = epoch_order(1, 0, 0, 1000);
  std::vector<std::uint32_t> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  std::vector<std::uint32_t> all(1000);
  std::iota(all.begin(), all.end(), 0U);
  CHECK(sorted == all);
  CHECK(order == epoch_order(1, 0, 0, 1000));
  CHECK(order != epoch_order(2, 0, 0, 1000));
  CHECK(order != epoch_order(1, 1, 0, 1000));
  CHECK(order != epoch_order(1, 0, 1, 1000));
  CHECK(epoch_order(1, 0, 0, 0).empty());
}

TEST_CASE("sampler: golden orders, which no release may change") {
  CHECK(epoch_order(1, 0, 0, 8) == std::vector<std::uint32_t>{1, 2, 5, 3, 4, 0, 7, 6});
  CHECK(epoch_order(42, 3, 5, 8) == std::vector<std::uint32_t>{4, 1, 2, 6, 0, 7, 5, 3});
}
