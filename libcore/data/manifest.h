// SPDX-License-Identifier: MIT
// What dl-shard made: the file that names the shards (dl-manifest(5)).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "data/schema.h"

namespace dl::data {

struct ShardEntry {
  std::string file;              // a plain name, no directory
  std::uint64_t samples = 0;
  std::string sha256;            // of the whole file
  std::vector<std::uint64_t> class_counts;  // classification only
};

struct Manifest {
  std::uint64_t seed = 1;
  std::string by;                // distribution strategy, and what it was told:
  std::vector<double> weights;   // weighted
  std::optional<double> alpha;   // dirichlet
  std::string key;               // hash: the column's name, or "*" for the whole row
  Schema schema;                 // raw columns -> features and target, fitted on the training part
  std::vector<ShardEntry> shards;
  // Held out; test.dls and validation.dls. More than one file each where rows were appended, in order.
  std::vector<ShardEntry> test, validation;
  std::uint64_t training_samples() const;

  Json to_json() const;
  static Manifest from_json(const Json& json, const std::string& what);
};

// What is left to train on without shard `held_out` (64 where there is none of that number, or no other),
// with that shard as the test part instead of the manifest's own. The numbers of the others close up.
Manifest without_shard(Manifest manifest, std::uint32_t held_out);

inline constexpr const char* kManifestName = "manifest.json";
inline constexpr std::uint64_t kLongestManifest = std::uint64_t{1} << 30;

// The text of a manifest file; 65 where it is not as dl-manifest(5) says.
Manifest parse_manifest(const std::string& text, const std::string& what);
// DIR/manifest.json; 66 where there is none, 65 where it is not as dl-manifest(5) says.
Manifest read_manifest(const fs::path& directory);
// SHA-256 of the bytes of DIR/manifest.json: the identity of the data in handshakes and checkpoints.
std::string manifest_digest(const fs::path& directory);

}  // namespace dl::data
