// SPDX-License-Identifier: MIT
// New rows become further shards of a directory; the old ones stay as they are, and so do the transforms.
#pragma once

#include <optional>
#include <vector>

#include "data/drift.h"
#include "data/sharder.h"

namespace dl::data {

struct Appended {
  Manifest manifest;          // the whole, as it is now on disk
  std::uint32_t shards = 0;   // of them, so many are new: the last ones
  std::uint64_t training = 0, test = 0, validation = 0;  // new samples
  std::vector<Drift> drift;   // of the new training samples against the old ones
  std::optional<double> label_shift;  // distance between their shares of classes (skew.h)
};

// What options of a run are kept where the user says nothing: how samples are dealt out, the seed, the key.
// Weights and alpha belong to the old number of shards: there, random.
void keep_strategy(const Manifest& manifest, ShardOptions& options);

// `options.shards` new shards, and files of their own for the new samples that are held out. The manifest
// is replaced when all of them are there; on any error nothing has changed. Files need the schema's
// columns, the target among them (65); labels must be of its classes (65). 66 where the directory has no
// manifest, 75 where another dl-shard adds to it.
Appended append_shards(const ShardOptions& options);

}  // namespace dl::data
