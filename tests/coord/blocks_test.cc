// SPDX-License-Identifier: MIT
#include "coord/blocks.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "base/rng.h"
#include "coord/stages.h"

using namespace dl;
using namespace dl::coord;

namespace {

// Every map in contiguous ranges over the ranks from `rank` on.
void all_maps(std::uint32_t rank, std::uint32_t ranks, std::size_t blocks, std::vector<std::uint32_t>& owner,
              const auto& visit) {
  const std::size_t begin = owner.size();
  if (rank + 1 == ranks) {
    owner.resize(blocks, rank);
    visit(owner);
  }
  for (std::size_t end = begin + 1; rank + 1 < ranks && end + (ranks - rank - 1) <= blocks; ++end) {
    owner.resize(end, rank);
    all_maps(rank + 1, ranks, blocks, owner, visit);
  }
  owner.resize(begin);
}

}  // namespace

TEST_CASE("blocks: no other map in ranges is predicted to be faster") {
  Rng rng(1, Purpose::test);
  for (int round = 0; round < 300; ++round) {
    BlockCosts costs{.common_flops = 1e8 * static_cast<double>(rng.below(4)),
                     .flops = std::vector<double>(1 + rng.below(9)),
                     .part_bytes = 1e4 * static_cast<double>(rng.below(30))};
    for (double& flops : costs.flops) flops = 1e8 * static_cast<double>(1 + rng.below(3));
    std::vector<double> speeds(1 + rng.below(std::min<std::uint64_t>(4, costs.flops.size())));
    for (double& speed : speeds) speed = 1e11 * static_cast<double>(1 + rng.below(4));
    double best = 1e30;
    std::vector<std::uint32_t> work;
    all_maps(0, static_cast<std::uint32_t>(speeds.size()), costs.flops.size(), work,
             [&](const auto& owner) { best = std::min(best, predict_step(costs, owner, speeds)); });
    const BlockMap map = split_blocks(costs, speeds);
    CHECK(map.seconds == doctest::Approx(best).epsilon(1e-12));
    CHECK(predict_step(costs, map.owner, speeds) == doctest::Approx(map.seconds).epsilon(1e-12));
    for (std::uint32_t r = 0; r < speeds.size(); ++r) CHECK(std::ranges::count(map.owner, r) > 0);
    CHECK(std::ranges::is_sorted(map.owner));
  }
}

TEST_CASE("blocks: equal machines get halves, a slow one less, and a ragged map pays for its parts") {
  BlockCosts costs{.common_flops = 0, .flops = std::vector<double>(8, 1e9), .part_bytes = 0};
  const auto split = [&](std::vector<double> speeds) { return split_blocks(costs, speeds).owner; };
  CHECK(split({1e11, 1e11}) == std::vector<std::uint32_t>{0, 0, 0, 0, 1, 1, 1, 1});
  CHECK(split({3e11, 1e11}) == std::vector<std::uint32_t>{0, 0, 0, 0, 0, 0, 1, 1});
  CHECK(split({1e11, 1e11, 1e11}) == std::vector<std::uint32_t>{0, 0, 1, 1, 1, 2, 2, 2});
  costs.part_bytes = 0.01 * kBytesOfLink;  // as long as a block
  CHECK(split({1e11, 1e11, 1e11}) == std::vector<std::uint32_t>{0, 0, 1, 1, 2, 2, 2, 2});
  // What is common takes the slow one so long that it gets the least.
  costs = {.common_flops = 8e9, .flops = std::vector<double>(8, 1e9), .part_bytes = 0};
  CHECK(split({2e11, 1e11}) == std::vector<std::uint32_t>{0, 0, 0, 0, 0, 0, 0, 1});
}
