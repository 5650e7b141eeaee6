// SPDX-License-Identifier: MIT
#include "train/judge.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace dl;

TEST_CASE("judge: blocks are dealt by share, each once, none to a rank without one") {
  const auto dealt = [](std::uint64_t blocks, std::vector<std::uint64_t> shares) {
    return train::dealt_by_share(blocks, shares);
  };
  CHECK(dealt(8, {7, 1}) == std::vector<std::uint64_t>{7, 8});
  CHECK(dealt(8, {1, 1, 0}) == std::vector<std::uint64_t>{4, 8, 8});
  CHECK(dealt(9, {0, 5, 0, 5}) == std::vector<std::uint64_t>{0, 5, 5, 9});
  CHECK(dealt(6, {0, 0, 0}) == std::vector<std::uint64_t>{2, 4, 6});
  CHECK(dealt(0, {3, 4}) == std::vector<std::uint64_t>{0, 0});
  for (std::uint64_t blocks = 0; blocks < 40; ++blocks) {
    const auto ends = dealt(blocks, {1'000'003, 999'999'999'999, 17, 0, 31});
    CHECK(std::is_sorted(ends.begin(), ends.end()));
    CHECK(ends.back() == blocks);
    CHECK(ends[3] == ends[2]);
  }
}
