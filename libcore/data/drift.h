// SPDX-License-Identifier: MIT
// How far new rows are from those that the transforms were fitted on.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "data/manifest.h"
#include "data/statistics.h"

namespace dl::data {

// Of the features of shard files, as the model sees them.
Statistics feature_statistics(const fs::path& directory, std::span<const ShardEntry> entries,
                              const Schema& schema);

struct Drift {
  std::string feature;
  double before = 0, now = 0;  // means: of a number in its own units, of a category its share
  double deviations = 0;       // |now - before| in standard deviations of before (of the scaled feature
                               // itself, where that is constant)
};

// Every feature whose mean has moved at all, the furthest first; equally far ones in feature order.
std::vector<Drift> drift(const Schema& schema, const Statistics& before, const Statistics& now);

}  // namespace dl::data
