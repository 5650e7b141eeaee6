// SPDX-License-Identifier: MIT
#include "data/quotas.h"

#include <doctest/doctest.h>

#include <map>
#include <numeric>

#include "base/error.h"
#include "data/fixtures.h"

using namespace dl;
using namespace dl::data;

using Counts = std::vector<std::uint64_t>;

TEST_CASE("quotas: totals are apportioned by largest remainders, of equal ones to the first") {
  CHECK(apportion(100, std::vector<double>{4, 1, 1}) == Counts{67, 17, 16});
  CHECK(apportion(10, std::vector<double>{1, 1, 1, 1}) == Counts{3, 3, 2, 2});
  CHECK(apportion(7, std::vector<double>{0.5, 0, 0.25}) == Counts{5, 0, 2});
  CHECK(apportion(0, std::vector<double>{3, 2}) == Counts{0, 0});
  CHECK(apportion(5, std::vector<double>{1e-300, 1e-300}) == Counts{3, 2});
  CHECK(apportion(5, std::vector<double>{1e300, 1}) == Counts{5, 0});
  // Beyond what a double counts exactly.
  const std::uint64_t large = (std::uint64_t{1} << 60) + 1;
  CHECK(apportion(large, std::vector<double>{1, 1}) == Counts{large / 2 + 1, large / 2});
  CHECK(apportion(large, std::vector<double>(4096, 3.0))[1] == large / 4096);
}

TEST_CASE("quotas: what is apportioned adds up and is within one of the exact share") {
  Rng rng(31, Purpose::test);
  for (int round = 0; round < 500; ++round) {
    std::vector<double> weights(1 + rng.below(40));
    for (double& weight : weights) weight = rng.below(4) == 0 ? 0 : rng.uniform_double();
    weights.back() += 0.1;
    const std::uint64_t total = rng.below(100000);
    const Counts quotas = apportion(total, weights);
    CHECK(std::accumulate(quotas.begin(), quotas.end(), std::uint64_t{0}) == total);
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const double exact = static_cast<double>(total) * weights[i] / sum;
      CHECK(std::abs(static_cast<double>(quotas[i]) - exact) < 1.000001);
    }
  }
}

TEST_CASE("quotas: draws fill each quota exactly, and every arrangement is as likely") {
  Rng rng(32, Purpose::test);
  for (int round = 0; round < 200; ++round) {
    Counts wanted(1 + rng.below(70));
    for (std::uint64_t& quota : wanted) quota = rng.below(5);
    wanted[0] += 1;
    const auto shards = static_cast<std::uint32_t>(wanted.size());
    Quotas quotas(2, shards);
    quotas.set(1, wanted);
    Counts drawn(wanted.size());
    const std::uint64_t total = std::accumulate(wanted.begin(), wanted.end(), std::uint64_t{0});
    for (std::uint64_t i = 0; i < total; ++i) ++drawn.at(quotas.draw(1, Rng(rng.next64(), Purpose::test)));
    CHECK(drawn == wanted);
    CHECK(test::complaint_of([&] { quotas.draw(1, Rng(1, Purpose::test)); }).code == Exit::bug);
    CHECK(test::complaint_of([&] { quotas.draw(0, Rng(1, Purpose::test)); }).code == Exit::bug);
  }
  // Two of A, one of B and one of C: 12 arrangements, each 1000 times in 12000 (deviation 30).
  std::map<std::vector<std::uint32_t>, int> seen;
  for (int round = 0; round < 12000; ++round) {
    Quotas quotas(1, 3);
    quotas.set(0, Counts{2, 1, 1});
    std::vector<std::uint32_t> arrangement;
    for (int i = 0; i < 4; ++i) arrangement.push_back(quotas.draw(0, Rng(rng.next64(), Purpose::test)));
    ++seen[arrangement];
  }
  CHECK(seen.size() == 12);
  for (const auto& [arrangement, times] : seen) CHECK(std::abs(times - 1000) < 150);
}
