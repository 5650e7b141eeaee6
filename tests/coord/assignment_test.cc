// SPDX-License-Identifier: MIT
#include "coord/assignment.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/rng.h"

using namespace dl;
using coord::assign;
using coord::Assignment;
using Owner = std::vector<std::uint32_t>;

namespace {

Owner balanced(std::vector<std::uint64_t> samples, std::vector<double> speeds) {
  return assign(Assignment::balanced, {samples}, speeds);
}

}  // namespace

TEST_CASE("assignment: round-robin deals the shards out in turn") {
  const std::vector<std::uint64_t> samples(5, 10);
  const std::vector<double> speeds = {1, 7, 1};
  CHECK(assign(Assignment::round_robin, {samples}, speeds) == Owner{0, 1, 2, 0, 1});
}

TEST_CASE("assignment: random deals shards out evenly, by seed and generation alone") {
  const std::vector<std::uint64_t> samples(10, 10);
  const std::vector<double> speeds = {1, 7, 1};
  std::set<Owner> seen;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    for (std::uint32_t generation = 1; generation < 4; ++generation) {
      const Owner owner = assign(Assignment::random, {samples}, speeds, seed, generation);
      CHECK(owner == assign(Assignment::random, {samples}, speeds, seed, generation));
      for (std::uint32_t rank = 0; rank < 3; ++rank) {
        const auto held = std::count(owner.begin(), owner.end(), rank);
        CHECK((held == 3 || held == 4));
      }
      seen.insert(owner);
    }
  }
  CHECK(seen.size() > 55);
}

TEST_CASE("assignment: balanced gives equal nodes aligned ranges, one part each") {
  const std::vector<std::uint64_t> samples(8, 100);
  CHECK(balanced(samples, {1, 1}) == Owner{0, 0, 0, 0, 1, 1, 1, 1});
  CHECK(balanced(samples, {1, 1, 1, 1}) == Owner{0, 0, 1, 1, 2, 2, 3, 3});
  const Owner three = balanced(samples, {1, 1, 1});
  CHECK(coord::count_parts(three, 3) == 5);
  CHECK(coord::count_parts(assign(Assignment::round_robin, {samples}, std::vector<double>{1, 1}), 2) == 8);
}

TEST_CASE("assignment: balanced follows the speeds") {
  const std::vector<std::uint64_t> samples(8, 100);
  CHECK(balanced(samples, {3, 1}) == Owner{0, 0, 0, 0, 0, 0, 1, 1});
  // Half, a quarter, a quarter: three parts, whichever rank has the two threads.
  for (const auto& speeds : std::vector<std::vector<double>>{{2, 1, 1}, {1, 2, 1}, {1, 1, 2}}) {
    const Owner owner = balanced({samples}, speeds);
    CHECK(coord::count_parts(owner, 3) == 3);
    CHECK(coord::pace_of(owner, samples, speeds) == 200);
  }
}

TEST_CASE("assignment: balanced leaves ranges where shards are too different for them") {
  // In ranges the best is 100 + 10 against 10 + 100; one large shard each and the small ones shared.
  const std::vector<std::uint64_t> samples = {100, 100, 10, 90, 10, 90};
  const Owner owner = balanced(samples, {1, 1});
  CHECK(coord::pace_of(owner, samples, std::vector<double>{1, 1}) == 200);
}

TEST_CASE("assignment: every shard has exactly one owner, no rank is idle, equal input equal map") {
  Rng rng(7, Purpose::test);
  for (int round = 0; round < 1500; ++round) {
    const auto ranks = static_cast<std::uint32_t>(1 + rng.below(9));
    const auto shards = static_cast<std::uint32_t>(ranks + rng.below(round % 50 == 0 ? 400 : 40));
    std::vector<std::uint64_t> samples(shards);
    std::vector<double> speeds(ranks);
    for (auto& n : samples) n = rng.below(4) == 0 ? 0 : rng.below(1000);
    for (auto& v : speeds) v = static_cast<double>(1 + rng.below(8));
    for (const Assignment how : {Assignment::round_robin, Assignment::balanced}) {
      const Owner owner = assign(how, {samples}, speeds);
      REQUIRE(owner.size() == shards);
      const std::set<std::uint32_t> used(owner.begin(), owner.end());
      REQUIRE(used.size() == ranks);
      REQUIRE(*used.rbegin() == ranks - 1);
      REQUIRE(assign(how, {samples}, speeds) == owner);
    }
  }
}

TEST_CASE("assignment: balanced is never much slower than round-robin and sends fewer parts") {
  Rng rng(8, Purpose::test);
  std::uint64_t parts = 0, parts_in_turn = 0;
  for (int round = 0; round < 300; ++round) {
    const auto ranks = static_cast<std::uint32_t>(2 + rng.below(5));
    std::vector<std::uint64_t> samples(ranks + rng.below(60));
    for (auto& n : samples) n = 900 + rng.below(200);
    const std::vector<double> speeds(ranks, 2.0);
    const Owner owner = assign(Assignment::balanced, {samples}, speeds);
    const Owner in_turn = assign(Assignment::round_robin, {samples}, speeds);
    CHECK(coord::pace_of(owner, samples, speeds) <= 1.2 * coord::pace_of(in_turn, samples, speeds));
    parts += coord::count_parts(owner, ranks);
    parts_in_turn += coord::count_parts(in_turn, ranks);
  }
  CHECK(parts * 2 < parts_in_turn);
}

TEST_CASE("assignment: thousands of shards and hundreds of ranks are dealt out in ranges") {
  const std::vector<std::uint64_t> samples(20000, 50);
  const std::vector<double> speeds(300, 4.0);
  const Owner owner = assign(Assignment::balanced, {samples}, speeds);
  CHECK(std::is_sorted(owner.begin(), owner.end()));
  const double even = 20000.0 * 50 / 300 / 4;
  CHECK(coord::pace_of(owner, samples, speeds) < 1.1 * even);
}

TEST_CASE("assignment: units stay together, whoever deals them out") {
  const std::vector<std::uint64_t> samples(16, 10);
  const std::vector<ShardRange> units = {{0, 4}, {4, 8}, {8, 12}, {12, 16}};
  const std::vector<double> speeds = {1, 2.8};
  for (const Assignment how : {Assignment::random, Assignment::round_robin, Assignment::balanced, Assignment::adaptive}) {
    const Owner owner = assign(how, {samples, units}, speeds, 3, 1);
    REQUIRE(owner.size() == 16);
    for (const ShardRange& unit : units) {
      for (std::uint32_t s = unit.begin; s < unit.end; ++s) CHECK(owner[s] == owner[unit.begin]);
    }
  }
  const Owner wanted = {0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  CHECK(coord::reassign({samples, units}, speeds, Owner{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1}, 0) == wanted);
  CHECK_THROWS_AS(assign(Assignment::balanced, {samples, std::span(units).first(3)}, speeds), Error);
}

TEST_CASE("assignment: a quarter of the speed keeps one shard of eight, whoever has it") {
  const std::vector<std::uint64_t> samples(8, 100);
  const Owner equal = {0, 0, 0, 0, 1, 1, 1, 1};
  CHECK(coord::reassign({samples}, std::vector<double>{1, 0.25}, equal, 0) == Owner{0, 0, 0, 0, 0, 0, 0, 1});
  CHECK(coord::reassign({samples}, std::vector<double>{0.25, 1}, equal, 0) == Owner{0, 1, 1, 1, 1, 1, 1, 1});
  // What is equally good stays as it is.
  const Owner swapped = {1, 1, 1, 1, 0, 0, 0, 0};
  CHECK(coord::reassign({samples}, std::vector<double>{1, 1}, swapped, 0) == swapped);
}

TEST_CASE("assignment: where partial sums are dear, fewer of them are worth an uneven map") {
  const std::vector<std::uint64_t> samples(8, 100);
  const Owner equal = {0, 0, 0, 0, 1, 1, 1, 1};
  const std::vector<double> speeds = {100, 70};
  CHECK(coord::count_parts(coord::reassign({samples}, speeds, equal, 0), 2) > 2);
  CHECK(coord::reassign({samples}, speeds, equal, 10) == equal);
}

TEST_CASE("assignment: declared speeds that are nearly equal count as equal") {
  CHECK(coord::evened(std::vector<double>{90, 100, 20, 99, 18}) == std::vector<double>{100, 100, 20, 100, 20});
}

TEST_CASE("assignment: names") {
  for (const Assignment how : {Assignment::random, Assignment::round_robin, Assignment::balanced, Assignment::adaptive}) {
    CHECK(coord::parse_assignment(coord::name_of(how)) == how);
  }
  CHECK_THROWS_WITH_AS(coord::parse_assignment("magic"),
                       "--assign: 'magic' is not one of random, round-robin, balanced, adaptive", Error);
}
