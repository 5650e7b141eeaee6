// SPDX-License-Identifier: MIT
#include "data/skew.h"

#include <cmath>
#include <numeric>

namespace dl::data {

std::optional<double> label_distance(std::span<const std::uint64_t> a,
                                     std::span<const std::uint64_t> b) {
  const auto total = [](std::span<const std::uint64_t> counts) {
    return static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}));
  };
  const double of_a = total(a);
  const double of_b = total(b);
  if (of_a == 0 || of_b == 0) return std::nullopt;
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum += std::abs(static_cast<double>(a[i]) / of_a - static_cast<double>(b[i]) / of_b);
  }
  return sum / 2;
}

std::vector<std::uint64_t> class_totals(const std::vector<ShardEntry>& shards) {
  std::vector<std::uint64_t> totals(shards.empty() ? 0 : shards[0].class_counts.size());
  for (const ShardEntry& shard : shards) {
    for (std::size_t i = 0; i < totals.size(); ++i) totals[i] += shard.class_counts[i];
  }
  return totals;
}

std::optional<double> label_skew(const std::vector<ShardEntry>& shards) {
  const std::vector<std::uint64_t> totals = class_totals(shards);
  double sum = 0;
  int count = 0;
  for (const ShardEntry& shard : shards) {
    const auto distance = label_distance(shard.class_counts, totals);
    if (!distance) continue;
    sum += *distance;
    ++count;
  }
  if (count == 0) return std::nullopt;
  return sum / count;
}

}  // namespace dl::data
