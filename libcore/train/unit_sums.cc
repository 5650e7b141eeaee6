// SPDX-License-Identifier: MIT
#include "train/unit_sums.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "comm/codec.h"

namespace dl::train {

UnitTree unit_tree(std::uint32_t shards, std::uint32_t groups, const std::vector<Unit>& units) {
  UnitTree tree{groups > 0 ? groups : shards, {}};
  std::vector<ShardRange> all;
  for (std::uint32_t g = 0; g < groups; ++g) all.push_back(comm::group_of_shards(shards, groups, g));
  for (const Unit& unit : units) {
    if (groups == 0) {
      tree.places.push_back(unit.shards);
      continue;
    }
    const auto its = std::ranges::lower_bound(all, unit.shards.begin, {}, &ShardRange::begin);
    if (its == all.end() || *its != unit.shards) {
      fail(Exit::bug, "shards {} to {} are none of {} groups", unit.shards.begin, unit.shards.end, groups);
    }
    const auto g = static_cast<std::uint32_t>(its - all.begin());
    tree.places.push_back({g, g + 1});
  }
  return tree;
}

UnitSums add_up(const UnitTree& tree, std::span<const UnitSums> sums) {
  const std::size_t units = tree.places.size();
  std::vector<std::size_t> order(units);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t u) { return tree.places[u].begin; });
  std::vector<ShardRange> ranges;
  for (const std::size_t u : order) ranges.push_back(tree.places[u]);
  const std::vector<Addition> additions = tree_additions(tree.leaves, ranges);

  UnitSums total;
  std::vector<UnitSums> step(units);
  for (std::size_t at = 0; at < sums.size(); at += units) {
    for (std::size_t i = 0; i < order.size(); ++i) step[i] = sums[at + order[i]];
    for (const Addition& a : additions) {
      step[a.left].loss += step[a.right].loss;
      step[a.left].weight += step[a.right].weight;
    }
    total.loss += step[0].loss;
    total.weight += step[0].weight;
  }
  return total;
}

}  // namespace dl::train
