// SPDX-License-Identifier: MIT
#include "train/training_data.h"

#include <algorithm>

#include "base/error.h"

namespace dl::train {

TrainingData::TrainingData(const fs::path& directory, const std::string& manifest_sha256)
    : directory_(directory) {
  const std::string mine = data::manifest_digest(directory);
  if (mine != manifest_sha256) {
    fail(Exit::disagree,
         "{}: this manifest has digest {}, the coordinator's has {}; every node needs the same shards",
         (directory / "manifest.json").string(), mine, manifest_sha256);
  }
  manifest_ = data::read_manifest(directory);
}

data::Shard TrainingData::open(const data::ShardEntry& entry) const {
  data::verify_digest(directory_, entry);
  data::Shard shard(directory_ / entry.file);
  const bool numbers = manifest_.schema.task == data::Task::regression;
  if (shard.rows() != entry.samples || shard.features() != manifest_.schema.features() ||
      shard.targets() != (numbers ? manifest_.schema.outputs() : 0)) {
    fail(Exit::data, "{}: holds {} rows of {} features, but its manifest says {} of {}",
         (directory_ / entry.file).string(), shard.rows(), shard.features(), entry.samples,
         manifest_.schema.features());
  }
  return shard;
}

void TrainingData::hold(std::span<const std::uint32_t> shards) {
  std::erase_if(held_, [&](const auto& held) {
    return std::find(shards.begin(), shards.end(), held.first) == shards.end();
  });
  for (const std::uint32_t s : shards) {
    if (!held_.contains(s)) held_.emplace(s, open(manifest_.shards.at(s)));
  }
}

const data::Shard& TrainingData::shard(std::uint32_t index) const { return held_.at(index); }

const data::Shard* TrainingData::test() {
  if (!test_ && manifest_.test) test_ = open(*manifest_.test);
  return test_ ? &*test_ : nullptr;
}

const data::Shard* TrainingData::validation() {
  if (!validation_ && manifest_.validation) validation_ = open(*manifest_.validation);
  return validation_ ? &*validation_ : nullptr;
}

}  // namespace dl::train
