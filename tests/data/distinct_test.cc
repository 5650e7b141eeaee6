// SPDX-License-Identifier: MIT
#include "data/distinct.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <set>
#include <vector>

#include "base/rng.h"

using namespace dl;
using namespace dl::data;

TEST_CASE("distinct: exact while there is room, close beyond") {
  for (const int different : {1, 100, 1000, 1024, 20000, 200000}) {
    CAPTURE(different);
    DistinctSample sample(1024);
    for (int round = 0; round < 2; ++round) {
      for (int i = 0; i < different; ++i) sample.add(hash_of(std::vector<double>{static_cast<double>(i)}));
    }
    CHECK(sample.total() == 2 * static_cast<std::uint64_t>(different));
    if (different <= 1024) {
      CHECK(sample.distinct() == different);
      CHECK(sample.repeats() == 0.5);
    } else {
      CHECK(sample.distinct() == doctest::Approx(different).epsilon(0.2));
      CHECK(sample.repeats() > 0.3);
      CHECK(sample.repeats() <= 0.6);
    }
  }
  CHECK(DistinctSample().repeats() == 0);
}

TEST_CASE("distinct: a few repeats among many values are found, and none are made up") {
  const auto repeats_of = [](std::uint64_t again, std::uint64_t heavy) {
    DistinctSample sample(4096);
    for (std::uint64_t i = 0; i < 300000; ++i) sample.add(hash_of(std::vector<double>{double(i), 1}));
    for (std::uint64_t i = 0; i < again; ++i) sample.add(hash_of(std::vector<double>{double(i), 1}));
    for (std::uint64_t i = 0; i < heavy; ++i) sample.add(hash_of(std::vector<double>{7, 7}));
    return sample.repeats();
  };
  CHECK(repeats_of(0, 0) < 0.0001);
  CHECK(repeats_of(9000, 0) > 0.02);   // 3 %
  CHECK(repeats_of(9000, 0) < 0.04);
  CHECK(repeats_of(0, 100000) > 0.1);  // one value alone: a quarter
  CHECK(repeats_of(0, 100000) < 0.26);
}

TEST_CASE("distinct: hashes of rows differ where rows do, and look random") {
  std::set<std::uint64_t> seen;
  std::vector<int> ones(64);
  for (int i = 0; i < 200; ++i) {
    for (int j = 0; j < 200; ++j) {
      const std::uint64_t hash = hash_of(std::vector<double>{static_cast<double>(i), static_cast<double>(j)});
      seen.insert(hash);
      for (std::size_t bit = 0; bit < 64; ++bit) ones[bit] += static_cast<int>(hash >> bit & 1);
    }
  }
  CHECK(seen.size() == 40000);
  for (const int count : ones) CHECK(std::abs(count - 20000) < 600);  // deviation 100
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(hash_of(std::vector<double>{-0.0, nan}) == hash_of(std::vector<double>{0.0, -nan}));
  CHECK(hash_of(std::vector<double>{1, 2}) != hash_of(std::vector<double>{2, 1}));
}
