// SPDX-License-Identifier: MIT
// Which collective is taken.
#include <doctest/doctest.h>

#include <cmath>

#include "base/error.h"
#include "comm/collective.h"

using namespace dl;
using comm::Collective;
using comm::Cut;
using comm::LinkCost;
using comm::SumCost;
using comm::SumPlan;

namespace {

constexpr Cut kCut = {64 * 1024, 48 * 1024};
// About loopback; about 100 Mbit/s behind a switch.
constexpr LinkCost kFast = {80e-6, 50e-6, 0.5e-9};
constexpr LinkCost kSlow = {400e-6, 250e-6, 85e-9};

SumPlan plan_of(std::uint32_t ranks, const std::vector<std::uint64_t>& lengths) {
  SumPlan plan;
  plan.shards = ranks;
  for (std::uint32_t r = 0; r < ranks; ++r) plan.parts_of_rank.push_back({{r, r + 1}});
  std::uint64_t at = 0;
  for (const std::uint64_t length : lengths) {
    plan.buckets.push_back({at, at + length});
    at += length;
  }
  return plan;
}

Collective chosen(const SumPlan& plan, const LinkCost& link) { return choose(plan, std::nullopt, link, kCut).at(0); }

}  // namespace

TEST_CASE("collective: names are read back, and others are refused with those that there are") {
  for (const Collective c : {Collective::direct, Collective::doubling, Collective::tree}) {
    CHECK(comm::parse_collective(comm::name_of(c)) == c);
  }
  CHECK(comm::parse_collective("auto") == std::nullopt);
  CHECK_THROWS_WITH_AS(comm::parse_collective("ring"),
                       "no collective 'ring'; there are auto, direct, doubling and tree", Error);
}

TEST_CASE("collective: what is wished for is taken for every bucket, and direct where the map does not allow it") {
  const SumPlan three = plan_of(3, {10, 100000});
  CHECK(choose(three, Collective::doubling, {}, kCut) == std::vector(2, Collective::direct));
  CHECK(choose(three, Collective::tree, {}, kCut) == std::vector(2, Collective::tree));
  CHECK(choose(plan_of(4, {10, 100000}), Collective::doubling, {}, kCut) == std::vector(2, Collective::doubling));
}

TEST_CASE("collective: a cost is its messages in a row and the bytes of the busiest link") {
  const SumPlan two = plan_of(2, {1 << 20});
  const SumCost cost(two, kCut);
  const double bytes = 4.0 * (1 << 20);
  // Half a vector each way, twice; or a whole one, once.
  CHECK(cost.seconds(Collective::direct, 1 << 20, kFast) == doctest::Approx(2 * 80e-6 + bytes * 0.5e-9));
  CHECK(cost.seconds(Collective::doubling, 1 << 20, kFast) == doctest::Approx(50e-6 + bytes * 0.5e-9));
  // Short: one round.
  CHECK(cost.seconds(Collective::direct, 256, kFast) == doctest::Approx(80e-6 + 1024 * 0.5e-9));
  const SumPlan four = plan_of(4, {256});
  CHECK(SumCost(four, kCut).seconds(Collective::direct, 256, kFast) == doctest::Approx(80e-6 + 3 * 1024 * 0.5e-9));
  CHECK(SumCost(four, kCut).seconds(Collective::doubling, 256, kFast) ==
        doctest::Approx(2 * (50e-6 + 1024 * 0.5e-9)));
  CHECK(std::isinf(SumCost(plan_of(3, {1}), kCut).seconds(Collective::doubling, 1, kFast)));
}

TEST_CASE("collective: the choice follows the length, the links and the map") {
  // Two ranks: an exchange less, as long as that is a tenth.
  CHECK(chosen(plan_of(2, {65536}), kFast) == Collective::doubling);
  CHECK(chosen(plan_of(2, {1 << 22}), kFast) == Collective::direct);
  CHECK(chosen(plan_of(2, {65536}), kSlow) == Collective::direct);
  // Four ranks: doubling carries 2 vectors where direct carries 1.5, so it is for short ones, on slow links not at all.
  CHECK(chosen(plan_of(4, {20000}), kFast) == Collective::doubling);
  CHECK(chosen(plan_of(4, {1 << 20}), kFast) == Collective::direct);
  CHECK(chosen(plan_of(4, {1 << 20}), kSlow) == Collective::direct);
  CHECK(chosen(plan_of(3, {65536}), kFast) != Collective::doubling);
  // Very many ranks whose messages to all of them are what costs.
  CHECK(chosen(plan_of(60, {256 * 60}), {.exchange = 3e-3, .pair = 50e-6, .byte = 0.5e-9}) == Collective::tree);
  CHECK(chosen(plan_of(64, {256 * 60}), {.exchange = 3e-3, .pair = 50e-6, .byte = 0.5e-9}) == Collective::doubling);
  CHECK(chosen(plan_of(64, {1 << 24}), {.exchange = 3e-3, .pair = 50e-6, .byte = 0.5e-9}) == Collective::direct);
}

TEST_CASE("collective: every bucket has its own, and the numbers alone decide") {
  const SumPlan plan = plan_of(4, {20000, 1 << 20, 0, 20000});
  const auto first = choose(plan, std::nullopt, kFast, kCut);
  CHECK(first == std::vector{Collective::doubling, Collective::direct, Collective::direct, Collective::doubling});
  CHECK(choose(plan, std::nullopt, kFast, kCut) == first);
}
