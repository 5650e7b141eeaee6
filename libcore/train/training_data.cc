// SPDX-License-Identifier: MIT
#include "train/training_data.h"

#include <algorithm>

#include "base/error.h"
#include "base/hash.h"

namespace dl::train {

namespace {

// No file of these rows is longer, whatever its blocks are: each row with a weight and a block of its own.
std::uint64_t most_bytes(const data::Schema& schema, const data::ShardEntry& entry) {
  constexpr double kMost = 1e18;
  const double targets = schema.task == data::Task::regression ? schema.outputs() : 1;
  const double row = 4.0 * (schema.features() + targets + 1) + 4 + 64;
  return data::kShardHeaderBytes +
         static_cast<std::uint64_t>(std::min(kMost, static_cast<double>(entry.samples) * row));
}

}  // namespace

TrainingData::TrainingData(DataSource source, const std::string& manifest_sha256,
                           std::optional<std::uint32_t> hold_out)
    : source_(std::move(source)) {
  read_manifest(manifest_sha256);
  if (hold_out) manifest_ = data::without_shard(std::move(manifest_), *hold_out);
}

TrainingData::TrainingData(const fs::path& directory, const std::string& manifest_sha256)
    : TrainingData(DataSource{directory, true, {}, {}}, manifest_sha256) {}

void TrainingData::read_manifest(const std::string& sha256) {
  fs::path file = source_.directory / data::kManifestName;
  std::error_code none;
  std::string text;
  if (!source_.directory.empty() && (source_.demanded || fs::is_regular_file(file, none))) {
    text = read_file(file, data::kLongestManifest);
    const std::string mine = sha256_hex(as_bytes_of(text));
    if (mine != sha256 && source_.demanded) {
      fail(Exit::disagree,
           "{}: this manifest has digest {}, the coordinator's has {}; every node needs the same shards",
           file.string(), mine, sha256);
    }
    if (mine != sha256) source_.directory.clear();
  } else {
    source_.directory.clear();
  }
  if (source_.directory.empty()) {
    file = source_.fetch(data::kManifestName, sha256, data::kLongestManifest);
    text = read_file(file, data::kLongestManifest);
  }
  manifest_ = data::parse_manifest(text, file.string());
}

fs::path TrainingData::path_of(const data::ShardEntry& entry) const {
  std::error_code none;
  const fs::path here = source_.directory / entry.file;
  if (!source_.directory.empty() && (!source_.fetch || fs::exists(here, none))) {
    data::verify_digest(source_.directory, entry);
    return here;
  }
  return source_.fetch(entry.file, entry.sha256, most_bytes(manifest_.schema, entry));
}

data::Shard TrainingData::open(const data::ShardEntry& entry) const {
  const fs::path path = path_of(entry);
  data::Shard shard(path);
  const bool numbers = manifest_.schema.task == data::Task::regression;
  if (shard.rows() != entry.samples || shard.features() != manifest_.schema.features() ||
      shard.targets() != (numbers ? manifest_.schema.outputs() : 0)) {
    fail(Exit::data, "{}: holds {} rows of {} features, but its manifest says {} of {}", path.string(),
         shard.rows(), shard.features(), entry.samples, manifest_.schema.features());
  }
  if (source_.opened) source_.opened();
  return shard;
}

void TrainingData::hold(std::span<const std::uint32_t> shards) {
  std::erase_if(held_, [&](const auto& held) {
    return std::find(shards.begin(), shards.end(), held.first) == shards.end();
  });
  for (const std::uint32_t s : shards) {
    if (s >= shard_count()) fail(Exit::disagree, "shard {} of {} is wanted", s, shard_count());
    if (!held_.contains(s)) held_.emplace(s, open(manifest_.shards.at(s)));
  }
}

const data::Shard& TrainingData::shard(std::uint32_t index) const { return held_.at(index); }

std::span<const data::Shard> TrainingData::part(std::vector<data::Shard>& opened,
                                                const std::vector<data::ShardEntry>& entries) {
  while (opened.size() < entries.size()) opened.push_back(open(entries[opened.size()]));
  return opened;
}

}  // namespace dl::train
