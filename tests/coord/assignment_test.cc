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

Owner balanced(std::vector<std::uint64_t> samples, std::vector<std::uint32_t> threads) {
  return assign(Assignment::balanced, samples, threads);
}

}  // namespace

TEST_CASE("assignment: round-robin deals the shards out in turn") {
  const std::vector<std::uint64_t> samples(5, 10);
  const std::vector<std::uint32_t> threads = {1, 7, 1};
  CHECK(assign(Assignment::round_robin, samples, threads) == Owner{0, 1, 2, 0, 1});
}

TEST_CASE("assignment: random deals shards out evenly, by seed and generation alone") {
  const std::vector<std::uint64_t> samples(10, 10);
  const std::vector<std::uint32_t> threads = {1, 7, 1};
  std::set<Owner> seen;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    for (std::uint32_t generation = 1; generation < 4; ++generation) {
      const Owner owner = assign(Assignment::random, samples, threads, seed, generation);
      CHECK(owner == assign(Assignment::random, samples, threads, seed, generation));
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
  CHECK(coord::count_parts(assign(Assignment::round_robin, samples, std::vector<std::uint32_t>{1, 1}), 2) == 8);
}

TEST_CASE("assignment: balanced follows the threads") {
  const std::vector<std::uint64_t> samples(8, 100);
  CHECK(balanced(samples, {3, 1}) == Owner{0, 0, 0, 0, 0, 0, 1, 1});
  // Half, a quarter, a quarter: three parts, whichever rank has the two threads.
  for (const auto& threads : std::vector<std::vector<std::uint32_t>>{{2, 1, 1}, {1, 2, 1}, {1, 1, 2}}) {
    const Owner owner = balanced(samples, threads);
    CHECK(coord::count_parts(owner, 3) == 3);
    CHECK(coord::pace_of(owner, samples, threads) == 200);
  }
}

TEST_CASE("assignment: balanced leaves ranges where shards are too different for them") {
  // In ranges the best is 100 + 10 against 10 + 100; one large shard each and the small ones shared.
  const std::vector<std::uint64_t> samples = {100, 100, 10, 90, 10, 90};
  const Owner owner = balanced(samples, {1, 1});
  CHECK(coord::pace_of(owner, samples, std::vector<std::uint32_t>{1, 1}) == 200);
}

TEST_CASE("assignment: every shard has exactly one owner, no rank is idle, equal input equal map") {
  Rng rng(7, Purpose::test);
  for (int round = 0; round < 1500; ++round) {
    const auto ranks = static_cast<std::uint32_t>(1 + rng.below(9));
    const auto shards = static_cast<std::uint32_t>(ranks + rng.below(round % 50 == 0 ? 400 : 40));
    std::vector<std::uint64_t> samples(shards);
    std::vector<std::uint32_t> threads(ranks);
    for (auto& n : samples) n = rng.below(4) == 0 ? 0 : rng.below(1000);
    for (auto& t : threads) t = static_cast<std::uint32_t>(1 + rng.below(8));
    for (const Assignment how : {Assignment::round_robin, Assignment::balanced}) {
      const Owner owner = assign(how, samples, threads);
      REQUIRE(owner.size() == shards);
      const std::set<std::uint32_t> used(owner.begin(), owner.end());
      REQUIRE(used.size() == ranks);
      REQUIRE(*used.rbegin() == ranks - 1);
      REQUIRE(assign(how, samples, threads) == owner);
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
    const std::vector<std::uint32_t> threads(ranks, 2);
    const Owner owner = assign(Assignment::balanced, samples, threads);
    const Owner in_turn = assign(Assignment::round_robin, samples, threads);
    CHECK(coord::pace_of(owner, samples, threads) <= 1.2 * coord::pace_of(in_turn, samples, threads));
    parts += coord::count_parts(owner, ranks);
    parts_in_turn += coord::count_parts(in_turn, ranks);
  }
  CHECK(parts * 2 < parts_in_turn);
}

TEST_CASE("assignment: thousands of shards and hundreds of ranks are dealt out in ranges") {
  const std::vector<std::uint64_t> samples(20000, 50);
  const std::vector<std::uint32_t> threads(300, 4);
  const Owner owner = assign(Assignment::balanced, samples, threads);
  CHECK(std::is_sorted(owner.begin(), owner.end()));
  const double even = 20000.0 * 50 / 300 / 4;
  CHECK(coord::pace_of(owner, samples, threads) < 1.1 * even);
}

TEST_CASE("assignment: names") {
  for (const Assignment how : {Assignment::round_robin, Assignment::balanced}) {
    CHECK(coord::parse_assignment(coord::name_of(how)) == how);
  }
  CHECK_THROWS_WITH_AS(coord::parse_assignment("magic"),
                       "--assign: 'magic' is not one of random, round-robin, balanced", Error);
}
