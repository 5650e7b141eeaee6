// SPDX-License-Identifier: MIT
// A run as one file: safetensors (dl-checkpoint(5)).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace dl::checkpoint {

struct TensorShape {
  std::string name;                  // "0.weight"
  std::vector<std::uint64_t> shape;
  bool operator==(const TensorShape&) const = default;
};

struct Checkpoint {
  // `__metadata__` of the file. safetensors allows only text values there: each member of this object
  // is stored as JSON text: model, schema, options, digests, ... The keys "format" ("dl 1"),
  // "parameters", "slots" and, where there are some, "extras" (names, in order) and "sha256" (digest() in safetensors.h) are the
  // file's own: ignored here when writing, absent after reading.
  Json metadata = Json::object();
  std::vector<TensorShape> tensors;             // the parameters, in the order of the flat array
  std::vector<float> parameters;                // flat
  std::vector<std::string> slot_names;          // stored as optimizer.<slot>.<tensor>
  std::vector<std::vector<float>> slots;        // flat, each as long as the parameters
  // What else a mode of training has to remember, in order: stored as state.<name>, of one dimension.
  std::vector<std::pair<std::string, std::vector<float>>> extras;
  std::map<std::string, std::uint64_t> cursors; // stored as cursor.<name>, U64 scalars: step, epoch, ...
  std::map<std::string, double> figures;        // stored as cursor.<name>, F64 scalars: best loss, ...
  bool operator==(const Checkpoint&) const = default;
};

// Written to a temporary file and renamed; read back and compared before the rename. 65 where a
// parameter, or anything else that is remembered, is NaN or infinite: the old file stays.
void write_checkpoint(const fs::path& path, const Checkpoint& checkpoint);

// 66 where it is missing, 65 where anything in it is not as it must be (truncated, overlapping or
// missing tensors, shapes that do not fit their bytes, NaN or infinity in any array, unknown version).
Checkpoint read_checkpoint(const fs::path& path);

// The same from memory; `what` names the bytes in messages.
Checkpoint decode_checkpoint(ByteView file, const std::string& what);

// SHA-256 of the float32 parameters, little-endian, in the order of the checkpoint.
std::string params_sha256(std::span<const float> parameters);

// A run directory's checkpoints: step-<12 digits>.safetensors, best.safetensors, and `latest`, a
// symbolic link to the newest one that is complete.
class Store {
 public:
  Store(fs::path directory, unsigned keep);
  // Writes the checkpoint of that step, moves `latest`, removes all but the newest `keep` up to that
  // step, and what a writer that died left behind. One process writes at a time.
  fs::path commit(std::uint64_t step, const Checkpoint& checkpoint);
  fs::path commit_best(const Checkpoint& checkpoint);
  // The newest that loads; others are passed over, and why, the newest first, is in `passed_over`. 74 where the
  // directory cannot be read.
  struct Found {
    fs::path path;
    Checkpoint checkpoint;
  };
  std::optional<Found> newest(std::vector<Error>& passed_over) const;

 private:
  fs::path directory_;
  unsigned keep_;
};

// The checkpoint that a run's directory or a file names: RUN/latest, or RUN/best.safetensors.
// 66 where there is none.
fs::path find_checkpoint(const fs::path& run_or_file, bool best);

}  // namespace dl::checkpoint
