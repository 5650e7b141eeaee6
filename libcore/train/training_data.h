// SPDX-License-Identifier: MIT
// The manifest and those of its files that a node works on.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/manifest.h"
#include "data/shard.h"

namespace dl::train {

// Where the files are.
struct DataSource {
  fs::path directory;     // looked at first; empty: there is none
  bool demanded = true;   // a directory without the run's manifest is an error; else it is passed over
  // For what is not in the directory: the path of the file with this digest, which has at most so many
  // bytes; `name` is for messages. Empty: what is missing is 66.
  std::function<fs::path(const std::string& name, const std::string& sha256, std::uint64_t most)> fetch;
  std::function<void()> opened;  // after each file: work moves on; may be empty
};

// Owned by the training thread. Shards are mapped when they are first held and checked against the
// manifest's digests then; a bad one is 65 with the file's name.
class TrainingData {
 public:
  // 76 with both values where the demanded directory's manifest is not the one with this digest. With
  // `hold_out`, the manifest is what data::without_shard() leaves.
  TrainingData(DataSource source, const std::string& manifest_sha256,
               std::optional<std::uint32_t> hold_out = std::nullopt);
  TrainingData(const fs::path& directory, const std::string& manifest_sha256);

  const data::Manifest& manifest() const { return manifest_; }
  std::uint32_t shard_count() const { return static_cast<std::uint32_t>(manifest_.shards.size()); }

  // Maps these shards and lets go of all others.
  void hold(std::span<const std::uint32_t> shards);
  const data::Shard& shard(std::uint32_t index) const;  // must be held

  // In the manifest's order; empty where it has no such part.
  std::span<const data::Shard> test() { return part(test_, manifest_.test); }
  std::span<const data::Shard> validation() { return part(validation_, manifest_.validation); }

 private:
  void read_manifest(const std::string& sha256);
  fs::path path_of(const data::ShardEntry& entry) const;
  data::Shard open(const data::ShardEntry& entry) const;
  std::span<const data::Shard> part(std::vector<data::Shard>& opened, const std::vector<data::ShardEntry>& entries);
  DataSource source_;
  data::Manifest manifest_;
  std::map<std::uint32_t, data::Shard> held_;
  std::vector<data::Shard> test_, validation_;
};

}  // namespace dl::train
