// SPDX-License-Identifier: MIT
#include "data/distribution.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "base/rng.h"
#include "data/fixtures.h"

using namespace dl;
using namespace dl::data;

namespace {

DistributionOptions options_of(By by, std::uint32_t shards, std::uint64_t seed) {
  DistributionOptions options;
  options.by = by;
  options.shards = shards;
  options.seed = seed;
  return options;
}

// A random training part: the class of each sample, with their counts.
struct Samples {
  std::vector<std::uint32_t> codes;
  TableCounts counts;
};

Samples random_samples(Rng& rng, std::uint64_t samples, std::uint32_t classes) {
  Samples all;
  all.counts = {"t.csv", samples, std::vector<std::uint64_t>(classes)};
  for (std::uint64_t i = 0; i < samples; ++i) {
    all.codes.push_back(static_cast<std::uint32_t>(rng.below(1 + rng.below(classes))));  // uneven
    ++all.counts.classes[all.codes.back()];
  }
  return all;
}

std::vector<std::uint32_t> shards_of(const DistributionOptions& options, const Samples& samples) {
  Distribution distribution(options, samples.counts);
  std::vector<std::uint32_t> shards;
  for (std::size_t i = 0; i < samples.codes.size(); ++i) {
    shards.push_back(distribution.shard_of(i, {samples.codes[i], 0}));
  }
  return shards;
}

// counts[code][shard]
std::vector<std::vector<std::uint64_t>> table_of(const Samples& samples,
                                                 const std::vector<std::uint32_t>& shards,
                                                 std::uint32_t count) {
  std::vector<std::vector<std::uint64_t>> table(samples.counts.classes.size(),
                                                std::vector<std::uint64_t>(count));
  for (std::size_t i = 0; i < shards.size(); ++i) ++table.at(samples.codes[i]).at(shards[i]);
  return table;
}

std::vector<std::uint64_t> totals_of(const std::vector<std::uint32_t>& shards, std::uint32_t count) {
  std::vector<std::uint64_t> totals(count);
  for (const std::uint32_t shard : shards) ++totals.at(shard);
  return totals;
}

std::uint64_t spread(const std::vector<std::uint64_t>& counts) {
  const auto [least, most] = std::minmax_element(counts.begin(), counts.end());
  return *most - *least;
}

}  // namespace

TEST_CASE("distribution: what needs no facts fills the shards evenly, in any order of asking") {
  for (const By by : {By::random, By::round_robin, By::contiguous}) {
    for (const std::uint32_t shards : {1U, 2U, 7U, 64U}) {
      for (const std::uint64_t total : {64U, 100U, 1438U}) {
        Distribution distribution(options_of(by, shards, 9), {"t.csv", total, {}});
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
    Distribution distribution(options_of(by, 3, seed), {"t.csv", 8, {}});
    std::vector<std::uint32_t> shards;
    for (std::uint64_t i = 0; i < 8; ++i) shards.push_back(distribution.shard_of(i));
    return shards;
  };
  CHECK(dealt(By::round_robin, 1) == std::vector<std::uint32_t>{0, 1, 2, 0, 1, 2, 0, 1});
  CHECK(dealt(By::contiguous, 1) == std::vector<std::uint32_t>{0, 0, 0, 1, 1, 1, 2, 2});
  CHECK(dealt(By::random, 1) == std::vector<std::uint32_t>{1, 0, 2, 1, 2, 0, 0, 2});  // golden
  CHECK(dealt(By::random, 1) != dealt(By::random, 2));
  CHECK(Distribution(options_of(By::contiguous, 4096, 1), {"t.csv", UINT64_MAX, {}})
            .shard_of(UINT64_MAX - 1) == 4095);
  CHECK(by_of("round-robin") == By::round_robin);
  CHECK(by_of("auto") == By::automatic);
  CHECK(by_names().size() == 8);
  for (const std::string& name : by_names()) CHECK(name_of(by_of(name)) == name);
  CHECK(test::complaint_of([] { by_of("magic"); }).code == Exit::usage);
}

TEST_CASE("distribution: stratified gives each shard each class's share and its share of all, to within one") {
  Rng rng(21, Purpose::test);
  for (int round = 0; round < 300; ++round) {
    CAPTURE(round);
    const auto shards = static_cast<std::uint32_t>(1 + rng.below(20));
    const Samples samples = random_samples(rng, rng.below(600), static_cast<std::uint32_t>(1 + rng.below(30)));
    const DistributionOptions options = options_of(By::stratified, shards, rng.next64());
    const auto placed = shards_of(options, samples);
    for (const auto& of_class : table_of(samples, placed, shards)) CHECK(spread(of_class) <= 1);
    CHECK(spread(totals_of(placed, shards)) <= 1);
    CHECK(shards_of(options, samples) == placed);
  }
}

TEST_CASE("distribution: weighted gives shards their quotas exactly") {
  Rng rng(22, Purpose::test);
  for (int round = 0; round < 300; ++round) {
    CAPTURE(round);
    const auto shards = static_cast<std::uint32_t>(1 + rng.below(20));
    const Samples samples = random_samples(rng, rng.below(600), 3);
    DistributionOptions options = options_of(By::weighted, shards, rng.next64());
    for (std::uint32_t i = 0; i < shards; ++i) options.weights.push_back(static_cast<double>(rng.below(6)));
    options.weights[rng.below(shards)] = 2.5;
    const auto placed = shards_of(options, samples);
    const auto totals = totals_of(placed, shards);
    const double sum = std::accumulate(options.weights.begin(), options.weights.end(), 0.0);
    for (std::uint32_t i = 0; i < shards; ++i) {
      const double wanted = static_cast<double>(samples.codes.size()) * options.weights[i] / sum;
      CHECK(std::abs(static_cast<double>(totals[i]) - wanted) < 1);
      if (options.weights[i] == 0) CHECK(totals[i] == 0);
    }
    CHECK(shards_of(options, samples) == placed);
  }
}

TEST_CASE("distribution: hash sends a key to one shard, whatever else there is") {
  Rng rng(23, Purpose::test);
  for (int round = 0; round < 200; ++round) {
    const auto shards = static_cast<std::uint32_t>(1 + rng.below(20));
    const DistributionOptions options = options_of(By::hash, shards, rng.next64());
    Distribution small(options, {"t.csv", 10, {}});
    Distribution large(options, {"t.csv", 100000, {}});
    for (std::uint64_t i = 0; i < 50; ++i) {
      const std::uint64_t key = rng.next64() >> 11;
      const std::uint32_t shard = small.shard_of(i, {0, key});
      CHECK(shard < shards);
      CHECK(large.shard_of(99999 - i, {7, key}) == shard);
    }
  }
  // Keys spread evenly: 8 shards of 8000 keys have 1000 each, with a deviation of 30.
  Distribution distribution(options_of(By::hash, 8, 1), {});
  std::vector<std::uint32_t> placed;
  for (std::uint64_t key = 0; key < 8000; ++key) placed.push_back(distribution.shard_of(0, {0, key}));
  for (const std::uint64_t total : totals_of(placed, 8)) {
    CHECK(total > 850);
    CHECK(total < 1150);
  }
}

TEST_CASE("distribution: dirichlet divides each class as its proportions say, more evenly for larger alpha") {
  Rng rng(24, Purpose::test);
  // Mean over seeds of the largest share of a class that one shard holds.
  const auto largest_share = [&](double alpha) {
    double sum = 0;
    for (int round = 0; round < 100; ++round) {
      const Samples samples = random_samples(rng, 400, 2);
      DistributionOptions options = options_of(By::dirichlet, 8, rng.next64());
      options.alpha = alpha;
      const auto placed = shards_of(options, samples);
      CHECK(shards_of(options, samples) == placed);
      const auto table = table_of(samples, placed, 8);
      const auto& first = table[0];
      sum += static_cast<double>(*std::max_element(first.begin(), first.end())) /
             static_cast<double>(samples.counts.classes[0]);
    }
    return sum / 100;
  };
  double before = 1;
  for (const double alpha : {0.01, 0.1, 1.0, 10.0, 1000.0}) {
    const double share = largest_share(alpha);
    CAPTURE(alpha);
    CHECK(share < before);
    before = share;
  }
  CHECK(before < 0.15);  // 1/8 and a little
  CHECK(largest_share(0.01) > 0.9);
}

TEST_CASE("distribution: shards do not follow a period of the rows") {
  // Classes in turns, and as many shards: dealing out in turns would give each shard one class alone,
  // or always the same places of a period. Each place has every shard about as often.
  Samples samples;
  samples.counts = {"t.csv", 8000, {4000, 4000}};
  for (std::uint32_t i = 0; i < 8000; ++i) samples.codes.push_back(i % 2);
  for (const By by : {By::stratified, By::weighted, By::dirichlet}) {
    DistributionOptions options = options_of(by, 4, 1);
    options.weights.assign(4, 1);
    options.alpha = 1e6;
    const auto placed = shards_of(options, samples);
    for (const std::size_t period : {2, 4, 8}) {
      std::vector<std::vector<std::uint64_t>> at(period, std::vector<std::uint64_t>(4));
      for (std::size_t i = 0; i < placed.size(); ++i) ++at[i % period][placed[i]];
      for (const auto& counts : at) {
        const double wanted = 8000.0 / static_cast<double>(period) / 4;
        for (const std::uint64_t count : counts) {
          CHECK(std::abs(static_cast<double>(count) - wanted) < 5 * std::sqrt(wanted));
        }
      }
    }
    options.seed = 2;
    CHECK(shards_of(options, samples) != placed);
  }
}

TEST_CASE("distribution: too many classes for as many shards are refused") {
  const TableCounts counts{"t.csv", 65536, std::vector<std::uint64_t>(65536, 1)};
  const auto complaint =
      test::complaint_of([&] { Distribution(options_of(By::stratified, 65, 1), counts); });
  CHECK(complaint.code == Exit::data);
  CHECK(test::contains(complaint.text, "t.csv: --by stratified: 65536 classes times 65 shards"));
  CHECK(test::complaint_of([&] { Distribution(options_of(By::dirichlet, 64, 1), counts); }).code == Exit::ok);
}

TEST_CASE("distribution: golden places, which no release may change") {
  const auto placed = [](By by) {
    DistributionOptions options = options_of(by, 4, 1);
    options.weights = {4, 0, 2, 1};
    Distribution distribution(options, {"t.csv", 20, {12, 8}});
    std::string shards;
    for (std::uint32_t i = 0; i < 20; ++i) {
      shards += std::to_string(distribution.shard_of(i, {i % 5 < 3 ? 0U : 1U, i}));
    }
    return shards;
  };
  CHECK(placed(By::stratified) == "11013232202301010323");
  CHECK(placed(By::weighted) == "00203220032200002003");
  CHECK(placed(By::dirichlet) == "11113121111111111122");
  CHECK(placed(By::hash) == "32302011311201313023");
}
