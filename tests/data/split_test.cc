// SPDX-License-Identifier: MIT
#include "data/split.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/rng.h"
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

TEST_CASE("split: of each class exactly its fraction is held out, and each choice is as likely") {
  Rng rng(61, Purpose::test);
  // Which of 5 samples is the one of the test part: 20 times 100, each about 400 times in 2000.
  std::vector<int> chosen(5);
  std::vector<int> validated(5);
  for (int round = 0; round < 2000; ++round) {
    const std::vector<std::uint64_t> counts = {5, 2};
    StratifiedSplit split(counts, rng.next64(), 0.2, 0.2);
    CHECK(split.training() == std::vector<std::uint64_t>{3, 2});
    std::uint64_t sample = 0;
    for (std::size_t i = 0; i < 5; ++i) {
      const Part part = split.part_of(sample++, 0);
      chosen[i] += part == Part::test;
      validated[i] += part == Part::validation;
      if (i % 2 == 0 && i < 4) CHECK(split.part_of(sample++, 1) == Part::training);
    }
    CHECK(test::complaint_of([&] { split.part_of(7, 0); }).code == Exit::bug);
  }
  for (const int times : chosen) CHECK(std::abs(times - 400) < 90);
  for (const int times : validated) CHECK(std::abs(times - 400) < 90);
  CHECK(test::complaint_of([] { StratifiedSplit({}, 1, 0.5, 0.5); }).code == Exit::usage);
  CHECK(test::complaint_of([] { KeySplit(1, 1, 0); }).code == Exit::usage);
}

TEST_CASE("split: golden parts of classes and keys, which no release may change") {
  const std::vector<std::uint64_t> counts = {10, 10};
  StratifiedSplit split(counts, 1, 0.2, 0.1);
  const KeySplit keys(1, 0.2, 0.1);
  std::string by_class;
  std::string by_key;
  for (std::uint32_t i = 0; i < 20; ++i) {
    by_class += ".TV"[static_cast<int>(split.part_of(i, i % 2))];
    by_key += ".TV"[static_cast<int>(keys.part_of(i))];
  }
  CHECK(by_class == "VT..T.TT...........V");
  CHECK(by_key == "..T.TT.TV...TT...T..");
}
