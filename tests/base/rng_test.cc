// SPDX-License-Identifier: MIT
#include "base/rng.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

using namespace dl;

TEST_CASE("philox: the known answers of Random123") {
  CHECK(philox({0, 0, 0, 0}, {0, 0}) ==
        std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  constexpr std::uint32_t ones = 0xffffffff;
  CHECK(philox({ones, ones, ones, ones}, {ones, ones}) ==
        std::array<std::uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
}

TEST_CASE("rng: a sequence is a function of its name") {
  Rng a(7, Purpose::test, 1, 2), b(7, Purpose::test, 1, 2), c(7, Purpose::test, 2, 1);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    const std::uint32_t x = a.next();
    CHECK(x == b.next());
    differs = differs || x != c.next();
  }
  CHECK(differs);
}

TEST_CASE("rng: uniform numbers stay in range and have the right mean") {
  Rng rng(1, Purpose::test);
  double sum = 0;
  for (int i = 0; i < 100000; ++i) {
    const float x = rng.uniform(-2, 4);
    REQUIRE(x >= -2);
    REQUIRE(x <= 4);
    sum += x;
  }
  CHECK(sum / 100000 == doctest::Approx(1).epsilon(0.02));
}

TEST_CASE("rng: below() reaches every value about equally often") {
  Rng rng(1, Purpose::test);
  std::vector<int> seen(7);
  for (int i = 0; i < 70000; ++i) ++seen[rng.below(7)];
  for (const int n : seen) CHECK(std::abs(n - 10000) < 500);
}

TEST_CASE("permutation: each number once, and not the identity") {
  for (const std::uint32_t n : {0U, 1U, 2U, 1000U}) {
    std::vector<std::uint32_t> order = permutation(n, Rng(3, Purpose::epoch_order, n));
    if (n == 1000) CHECK_FALSE(std::is_sorted(order.begin(), order.end()));
    std::sort(order.begin(), order.end());
    for (std::uint32_t i = 0; i < n; ++i) CHECK(order[i] == i);
  }
}
