// SPDX-License-Identifier: MIT
#include "data/placement.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <vector>

#include "base/rng.h"
#include "data/fixtures.h"

using namespace dl;
using namespace dl::data;

namespace {

constexpr By kAll[] = {By::random,   By::round_robin, By::contiguous, By::stratified,
                       By::weighted, By::hash,        By::dirichlet};

struct Case {
  DistributionOptions options;
  double test = 0, validation = 0;
  std::vector<SampleFacts> facts;
  TableCounts counts;
};

Case random_case(Rng& rng, By by) {
  Case one;
  one.options.by = by;
  one.options.shards = static_cast<std::uint32_t>(1 + rng.below(12));
  one.options.seed = rng.next64();
  one.options.weights.assign(one.options.shards, 1);
  one.options.weights[0] = 3;
  one.test = 0.1 * static_cast<double>(rng.below(5));
  one.validation = 0.1 * static_cast<double>(rng.below(4));
  const std::uint64_t classes = 1 + rng.below(6);
  const std::uint64_t keys = 1 + rng.below(200);
  const std::uint64_t samples = 200 + rng.below(400);
  one.counts = {"t.csv", samples, std::vector<std::uint64_t>(classes)};
  for (std::uint64_t i = 0; i < samples; ++i) {
    const SampleFacts facts{static_cast<std::uint32_t>(rng.below(classes)),
                            rng.below(keys) * 0x1000003 % (std::uint64_t{1} << 53)};
    one.facts.push_back(facts);
    ++one.counts.classes[facts.code];
  }
  return one;
}

Placement placement_of(const Case& one, std::size_t most_known = 1000) {
  return {one.options, one.counts, one.test, one.validation, most_known};
}

std::vector<std::uint32_t> places_of(Placement& placement, const std::vector<SampleFacts>& facts) {
  placement.restart();
  std::vector<std::uint32_t> places;
  for (const SampleFacts& one : facts) places.push_back(placement.next(one));
  return places;
}

std::vector<std::uint32_t> places_of(const Case& one) {
  Placement placement = placement_of(one);
  return places_of(placement, one.facts);
}

std::uint64_t rounded(double fraction, std::uint64_t count) {
  return static_cast<std::uint64_t>(std::floor(fraction * static_cast<double>(count) + 0.5));
}

}  // namespace

TEST_CASE("placement: a restart gives the same places, wherever what is known ends") {
  Rng rng(51, Purpose::test);
  for (int round = 0; round < 210; ++round) {
    const By by = kAll[round % 7];
    CAPTURE(name_of(by));
    const Case one = random_case(rng, by);
    const auto wanted = places_of(one);
    for (const std::uint32_t place : wanted) CHECK(place < one.options.shards + 2);
    for (const std::size_t known : {std::size_t{0}, std::size_t{1}, rng.below(200), one.facts.size()}) {
      Placement placement = placement_of(one, known);
      CHECK(places_of(placement, one.facts) == wanted);
      CHECK(places_of(placement, one.facts) == wanted);
      // Cut short, before and behind what is known, and begun again.
      for (const std::size_t stop : {rng.below(200), rng.below(200)}) {
        placement.restart();
        for (std::size_t i = 0; i < stop; ++i) CHECK(placement.next(one.facts[i]) == wanted[i]);
        CHECK(places_of(placement, one.facts) == wanted);
      }
    }
  }
}

TEST_CASE("placement: the seed decides") {
  Rng rng(52, Purpose::test);
  for (const By by : kAll) {
    CAPTURE(name_of(by));
    Case one = random_case(rng, by);
    one.options.shards = 3;
    one.options.weights.assign(3, 1);
    one.test = 0.2;
    const auto places = places_of(one);
    CHECK(places_of(one) == places);
    ++one.options.seed;
    CHECK(places_of(one) != places);
  }
}

TEST_CASE("placement: parts and shards have the sizes that were promised") {
  Rng rng(53, Purpose::test);
  for (int round = 0; round < 300; ++round) {
    const By by = kAll[round % 7];
    if (by == By::hash) continue;
    CAPTURE(name_of(by));
    const Case one = random_case(rng, by);
    const auto places = places_of(one);
    const std::uint32_t shards = one.options.shards;
    std::map<std::uint32_t, std::uint64_t> sizes;
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint64_t> of_class;
    for (std::size_t i = 0; i < places.size(); ++i) {
      ++sizes[places[i]];
      ++of_class[{one.facts[i].code, places[i]}];
    }
    if (wants_classes(by)) {
      for (std::uint32_t code = 0; code < one.counts.classes.size(); ++code) {
        CHECK((of_class[{code, shards}]) == rounded(one.test, one.counts.classes[code]));
        CHECK((of_class[{code, shards + 1}]) == rounded(one.validation, one.counts.classes[code]));
      }
    } else {
      CHECK(sizes[shards] == rounded(one.test, one.counts.samples));
      CHECK(sizes[shards + 1] == rounded(one.validation, one.counts.samples));
    }
    if (by == By::dirichlet || by == By::weighted) continue;  // tests/data/distribution_test.cc
    for (std::uint32_t shard = 0; shard < shards; ++shard) {
      CHECK(sizes[shard] + 1 >= sizes[0]);
      CHECK(sizes[shard] <= sizes[0] + 1);
    }
  }
}

TEST_CASE("placement: the test part is the same with and without a validation part") {
  Rng rng(54, Purpose::test);
  for (int round = 0; round < 70; ++round) {
    Case one = random_case(rng, kAll[round % 7]);
    one.test = 0.3;
    one.validation = 0;
    const auto without = places_of(one);
    one.validation = 0.2;
    const auto with = places_of(one);
    const std::uint32_t test = one.options.shards;
    for (std::size_t i = 0; i < with.size(); ++i) CHECK((with[i] == test) == (without[i] == test));
  }
}

TEST_CASE("placement: hash keeps the samples of a key together, also when the table grows") {
  Rng rng(55, Purpose::test);
  for (int round = 0; round < 200; ++round) {
    Case one = random_case(rng, By::hash);
    std::map<std::uint64_t, std::uint32_t> place_of;
    const auto places = places_of(one);
    for (std::size_t i = 0; i < places.size(); ++i) {
      CHECK(place_of.emplace(one.facts[i].key, places[i]).first->second == places[i]);
    }
    // Other rows, some of the same keys, in another order.
    Case later = random_case(rng, By::hash);
    later.options = one.options;
    later.test = one.test;
    later.validation = one.validation;
    for (std::size_t i = 0; i < later.facts.size(); i += 2) {
      later.facts[i].key = one.facts[rng.below(one.facts.size())].key;
    }
    const auto later_places = places_of(later);
    for (std::size_t i = 0; i < later.facts.size(); ++i) {
      CHECK(place_of.emplace(later.facts[i].key, later_places[i]).first->second == later_places[i]);
    }
  }
  // A fraction of the keys: 1000 of 5000, with a deviation of 28.
  Placement placement({By::hash, 4, 1, {}, 0.5}, {"t.csv", 5000, {}}, 0.2, 0.1);
  std::map<std::uint32_t, int> sizes;
  for (std::uint64_t key = 0; key < 5000; ++key) ++sizes[placement.next({0, key})];
  CHECK(std::abs(sizes[4] - 1000) < 140);
  CHECK(std::abs(sizes[5] - 500) < 110);
}

TEST_CASE("placement: tables that are too small, or have no classes, are refused") {
  const auto refused = [](const DistributionOptions& options, const TableCounts& counts) {
    const auto complaint = test::complaint_of([&] { Placement(options, counts, 0.2, 0); });
    CHECK(complaint.code == Exit::data);
    return complaint.text;
  };
  const TableCounts numbers{"t.csv", 100, {}};
  CHECK(test::contains(refused({By::stratified, 2, 1, {}, 0.5}, numbers),
                       "t.csv: --by stratified is for classes"));
  CHECK(test::contains(refused({By::dirichlet, 2, 1, {}, 0.5}, numbers), "--by dirichlet"));
  CHECK(test::contains(refused({By::random, 9, 1, {}, 0.5}, {"t.csv", 10, {}}),
                       "t.csv: 8 training samples (of 10) are fewer than the 9 shards"));
  CHECK(test::contains(refused({By::stratified, 9, 1, {}, 0.5}, {"t.csv", 10, {5, 5}}), "8 training"));
  CHECK(test::contains(refused({By::weighted, 4, 1, {1, 2, 0, 1}, 0.5}, {"t.csv", 2, {}}),
                       "fewer than the 3 shards"));
  Placement(DistributionOptions{By::hash, 9, 1, {}, 0.5}, {"t.csv", 2, {}}, 0.2, 0);
}

TEST_CASE("placement: numbers are placed by each strategy that wants no classes") {
  for (const By by : {By::random, By::round_robin, By::contiguous, By::weighted, By::hash}) {
    Placement placement({by, 3, 1, {1, 1, 1}, 0.5}, {"t.csv", 30, {}}, 0.2, 0);
    for (std::uint64_t i = 0; i < 30; ++i) CHECK(placement.next({0, i}) < 4);
  }
}
