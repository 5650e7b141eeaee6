// SPDX-License-Identifier: MIT
#include "data/drift.h"

#include <algorithm>
#include <cmath>

#include "data/shard.h"

namespace dl::data {

Statistics feature_statistics(const fs::path& directory, std::span<const ShardEntry> entries,
                              const Schema& schema) {
  Statistics all(schema.features());
  std::vector<double> wide(schema.features());
  for (const ShardEntry& entry : entries) {
    const Shard shard(directory / entry.file);
    for (std::uint32_t row = 0; row < shard.rows(); ++row) {
      const std::span<const float> features = shard.row(row);
      std::copy(features.begin(), features.end(), wide.begin());
      all.add(wide);
    }
  }
  return all;
}

std::vector<Drift> drift(const Schema& schema, const Statistics& before, const Statistics& now) {
  const std::vector<Scaling> scalings = schema.scalings();
  std::vector<Drift> all;
  for (std::uint32_t f = 0; f < schema.features(); ++f) {
    const double moved = now.mean(f) - before.mean(f);
    if (moved == 0) continue;
    const double deviation = before.deviation(f);
    const auto raw = [&](double mean) { return mean / scalings[f].scale + scalings[f].shift; };
    all.push_back({schema.feature_name(f), raw(before.mean(f)), raw(now.mean(f)),
                   std::abs(moved) / (deviation > 0 ? deviation : 1)});
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Drift& a, const Drift& b) { return a.deviations > b.deviations; });
  return all;
}

}  // namespace dl::data
