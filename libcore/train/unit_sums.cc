// SPDX-License-Identifier: MIT
#include "train/unit_sums.h"

#include <algorithm>
#include <numeric>

namespace dl::train {

UnitSums add_up(std::uint32_t shards, const std::vector<Unit>& units, std::span<const UnitSums> sums) {
  std::vector<std::size_t> order(units.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t u) { return units[u].shards.begin; });
  std::vector<ShardRange> ranges;
  for (const std::size_t u : order) ranges.push_back(units[u].shards);
  const std::vector<Addition> tree = tree_additions(shards, ranges);

  UnitSums total;
  std::vector<UnitSums> step(units.size());
  for (std::size_t at = 0; at < sums.size(); at += units.size()) {
    for (std::size_t i = 0; i < order.size(); ++i) step[i] = sums[at + order[i]];
    for (const Addition& a : tree) {
      step[a.left].loss += step[a.right].loss;
      step[a.left].weight += step[a.right].weight;
    }
    total.loss += step[0].loss;
    total.weight += step[0].weight;
  }
  return total;
}

}  // namespace dl::train
