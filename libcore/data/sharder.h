// SPDX-License-Identifier: MIT
// A table in, shards and a manifest out: all of dl-shard but its command line.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "data/distribution.h"
#include "data/fitter.h"
#include "data/input.h"
#include "data/manifest.h"

namespace dl::data {

// Where the work stands. Called often; may throw to end it, and then nothing is left behind.
struct ShardProgress {
  enum class Phase { reading, fitting, writing };
  Phase phase = Phase::reading;
  std::uint64_t rows = 0;          // done in this phase
  std::uint64_t packed_bytes = 0;  // reading: of the input
};

inline constexpr std::size_t kUsualMemory = std::size_t{256} << 20;

struct ShardOptions {
  InputOptions input;
  fs::path directory;
  std::uint32_t shards = 8;
  By by = By::random;
  std::vector<double> weights;  // weighted: one for each shard
  double alpha = 0.5;           // dirichlet
  bool key_rows = false;        // hash: by whole rows, not by input.columns.key
  std::uint64_t seed = 1;
  double test = 0.2;
  double validation = 0;
  FitOptions fit;
  std::optional<Task> task;  // unset: told from the labels
  std::uint64_t skip_bad = 0;  // rows that may be refused and left out
  bool force = false;        // replace what the directory holds
  std::size_t memory = kUsualMemory;  // bytes to stay below: half of them keep numbers between the passes
  unsigned threads = 0;  // that write; 0: as many as there are cores, up to four. The bytes are the same.
  std::function<void(const ShardProgress&)> progress;
  // What people should know (warning) or may want to (info), a sentence each.
  std::function<void(Level, const std::string&)> note;
};

inline constexpr std::uint32_t kMostShards = 4096;

// Reads the input once. Shards appear first, manifest.json last; with force, the old manifest goes
// before the first new shard appears, and old shards that are no longer wanted go at the end. On any
// error everything that was made is removed. The same input, options and seed give the same bytes.
// 73 where the directory holds a manifest already and force is not set.
Manifest make_shards(const ShardOptions& options);

// "shard-0000.dls".
std::string shard_name(std::uint32_t number);

// The text of manifest.json: for people, and the same bytes for the same manifest.
std::string manifest_text(const Manifest& manifest);

// Every file of the manifest against its digest, its checksums, its size and the schema; one line for
// each that is bad, which begins with its name.
std::vector<std::string> verify_shards(const fs::path& directory, const Manifest& manifest);

}  // namespace dl::data
