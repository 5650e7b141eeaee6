// SPDX-License-Identifier: MIT
#include "data/split.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <vector>

#include "data/distribution.h"
#include "data/placement.h"
#include "data/fixtures.h"

using namespace dl;
using namespace dl::data;

namespace {

std::vector<Part> parts_of(Split split, std::uint64_t samples) {
  std::vector<Part> parts;
  for (std::uint64_t i = 0; i < samples; ++i) parts.push_back(split.part_of(i));
  return parts;
}

std::uint64_t count(const std::vector<Part>& parts, Part part) {
  return static_cast<std::uint64_t>(std::count(parts.begin(), parts.end(), part));
}

}  // namespace

TEST_CASE("split: the parts have exactly the sizes asked for") {
  for (const std::uint64_t samples : {1U, 2U, 5U, 10U, 1797U, 10000U}) {
    for (const double test : {0.0, 0.1, 0.2, 0.5, 0.99}) {
      for (const double validation : {0.0, 0.005}) {
        CAPTURE(samples);
        CAPTURE(test);
        const Split split(samples, 3, test, validation);
        const auto parts = parts_of(split, samples);
        CHECK(count(parts, Part::test) == split.test());
        CHECK(count(parts, Part::validation) == split.validation());
        CHECK(count(parts, Part::training) == split.training());
        CHECK(split.test() == static_cast<std::uint64_t>(test * static_cast<double>(samples) + 0.5));
      }
    }
  }
  CHECK(Split(10000, 1, 0.2, 0).test() == 2000);
}

TEST_CASE("split: the test part is the same with and without a validation part, and depends on the seed") {
  const auto without = parts_of(Split(500, 1, 0.2, 0), 500);
  const auto with = parts_of(Split(500, 1, 0.2, 0.3), 500);
  const auto other = parts_of(Split(500, 2, 0.2, 0), 500);
  for (std::size_t i = 0; i < 500; ++i) CHECK((without[i] == Part::test) == (with[i] == Part::test));
  CHECK(without != other);
}

TEST_CASE("split: a part of a sample does not depend on what was asked before") {
  Split split(1000, 5, 0.3, 0.1);
  const auto forward = parts_of(split, 1000);
  for (std::uint64_t i = 1000; i-- > 0;) CHECK(split.part_of(i) == forward[i]);
}

TEST_CASE("split: nearly all of the test part stays in it when the table grows") {
  const auto small = parts_of(Split(1000, 1, 0.2, 0), 1000);
  const auto large = parts_of(Split(1100, 1, 0.2, 0), 1100);
  int left = 0;
  for (std::size_t i = 0; i < 1000; ++i) left += small[i] == Part::test && large[i] != Part::test ? 1 : 0;
  CHECK(left <= 20);
}

TEST_CASE("split: fractions that leave nothing to train on are refused") {
  CHECK(test::complaint_of([] { Split(10, 1, 0.5, 0.5); }).code == Exit::usage);
  CHECK(test::complaint_of([] { Split(10, 1, -0.1, 0); }).code == Exit::usage);
}

TEST_CASE("split: golden parts, which no release may change") {
  std::vector<std::uint64_t> test;
  Split split(20, 1, 0.25, 0);
  for (std::uint64_t i = 0; i < 20; ++i) {
    if (split.part_of(i) == Part::test) test.push_back(i);
  }
  CHECK(test == std::vector<std::uint64_t>{0, 1, 4, 10, 14});
}

TEST_CASE("distribution: every strategy fills the shards evenly, in any order of asking") {
  for (const By by : {By::random, By::round_robin, By::contiguous}) {
    for (const std::uint32_t shards : {1U, 2U, 7U, 64U}) {
      for (const std::uint64_t total : {64U, 100U, 1438U}) {
        Distribution distribution(by, shards, total, 9);
        std::vector<std::uint32_t> first;
        std::map<std::uint32_t, std::uint64_t> sizes;
        for (std::uint64_t i = 0; i < total; ++i) {
          first.push_back(distribution.shard_of(i));
          ++sizes[first.back()];
        }
        REQUIRE(sizes.size() == shards);
        for (const auto& [shard, size] : sizes) {
          CHECK(shard < shards);
          CHECK(size >= total / shards);
          CHECK(size <= total / shards + 1);
        }
        for (std::uint64_t i = total; i-- > 0;) CHECK(distribution.shard_of(i) == first[i]);
      }
    }
  }
}

TEST_CASE("distribution: what the strategies are") {
  const auto dealt = [](By by, std::uint64_t seed) {
    Distribution distribution(by, 3, 8, seed);
    std::vector<std::uint32_t> shards;
    for (std::uint64_t i = 0; i < 8; ++i) shards.push_back(distribution.shard_of(i));
    return shards;
  };
  CHECK(dealt(By::round_robin, 1) == std::vector<std::uint32_t>{0, 1, 2, 0, 1, 2, 0, 1});
  CHECK(dealt(By::contiguous, 1) == std::vector<std::uint32_t>{0, 0, 0, 1, 1, 1, 2, 2});
  CHECK(dealt(By::random, 1) == std::vector<std::uint32_t>{1, 0, 2, 1, 2, 0, 0, 2});  // golden
  CHECK(dealt(By::random, 1) != dealt(By::random, 2));
  CHECK(Distribution(By::contiguous, 4096, UINT64_MAX, 1).shard_of(UINT64_MAX - 1) == 4095);
  CHECK(by_of("round-robin") == By::round_robin);
  CHECK(test::complaint_of([] { by_of("magic"); }).code == Exit::usage);
}

TEST_CASE("placement: each time through gives what split and distribution say, also beyond what is kept") {
  constexpr std::uint64_t kSamples = (1U << 22) + 1000;
  Split split(kSamples, 4, 0.2, 0.1);
  Distribution distribution(By::contiguous, 7, split.training(), 4);
  Placement placement(split, distribution);
  for (int pass = 0; pass < 2; ++pass) {
    placement.restart();
    std::uint64_t training = 0;
    std::uint64_t wrong = 0;
    for (std::uint64_t i = 0; i < kSamples; ++i) {
      const Part part = split.part_of(i);
      const std::uint32_t wanted = part == Part::test         ? 7
                                   : part == Part::validation ? 8
                                                              : distribution.shard_of(training++);
      wrong += placement.next() != wanted;
    }
    CHECK(wrong == 0);
    CHECK(training == split.training());
  }
}
