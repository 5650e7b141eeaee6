// SPDX-License-Identifier: MIT
#include "data/skew.h"

#include <doctest/doctest.h>

#include <map>

#include "base/rng.h"
#include "data/placement.h"

using namespace dl;
using namespace dl::data;

using Counts = std::vector<std::uint64_t>;

namespace {

std::vector<ShardEntry> shards_with(const std::vector<Counts>& counts) {
  std::vector<ShardEntry> shards;
  for (const Counts& one : counts) shards.push_back({"s", 0, "", one});
  return shards;
}

// The skew of a random table of 3 classes in 6 shards.
double skew_of(By by, double alpha, std::uint64_t seed) {
  Rng rng(seed, Purpose::test);
  std::vector<std::uint32_t> codes(600);
  TableCounts table{"t.csv", codes.size(), Counts(3)};
  for (std::uint32_t& code : codes) ++table.classes[code = static_cast<std::uint32_t>(rng.below(3))];
  Placement placement({by, 6, seed, {}, alpha}, table, 0.2, 0);
  std::vector<Counts> counts(7, Counts(3));
  for (const std::uint32_t code : codes) ++counts.at(placement.next({code, 0}))[code];
  counts.pop_back();
  return label_skew(shards_with(counts)).value();
}

}  // namespace

TEST_CASE("skew: the distance is the share of samples that would have to change their class") {
  CHECK(label_distance(Counts{5, 5}, Counts{50, 50}) == 0.0);
  CHECK(label_distance(Counts{5, 0}, Counts{0, 9}) == 1.0);
  CHECK(label_distance(Counts{3, 1}, Counts{1, 1}) == 0.25);
  CHECK(label_distance(Counts{1, 2, 1}, Counts{2, 0, 2}) == 0.5);
  CHECK_FALSE(label_distance(Counts{0, 0}, Counts{1, 1}));
  CHECK_FALSE(label_distance(Counts{}, Counts{}));
}

TEST_CASE("skew: the mean over shards, empty ones aside; nothing for numbers") {
  CHECK(label_skew(shards_with({{2, 2}, {1, 1}})) == 0.0);
  CHECK(label_skew(shards_with({{4, 0}, {0, 4}})) == 0.5);
  CHECK(label_skew(shards_with({{4, 0}, {0, 0}, {0, 4}})) == 0.5);
  CHECK(label_skew(shards_with({{3, 1}, {1, 3}})) == 0.25);
  CHECK_FALSE(label_skew(shards_with({{}, {}})));
  CHECK(class_totals(shards_with({{3, 1}, {1, 0}})) == Counts{4, 1});
}

TEST_CASE("skew: it grows as alpha falls, and stratified has next to none") {
  const auto mean = [](By by, double alpha) {
    double sum = 0;
    for (std::uint64_t seed = 1; seed <= 60; ++seed) sum += skew_of(by, alpha, seed);
    return sum / 60;
  };
  const double random = mean(By::random, 0.5);
  const double stratified = mean(By::stratified, 0.5);
  CHECK(stratified < 0.01);
  CHECK(stratified < random / 4);
  double before = random;
  for (const double alpha : {10.0, 1.0, 0.1, 0.01}) {
    const double skew = mean(By::dirichlet, alpha);
    CAPTURE(alpha);
    CHECK(skew > before);
    before = skew;
  }
  CHECK(before > 0.4);
  // With equal quotas everywhere, dirichlet is as even as its roundings.
  CHECK(mean(By::dirichlet, 1e6) < 0.01);
}
