// SPDX-License-Identifier: MIT
// A checkpoint as a model that can be asked: all that prediction needs, from that one file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "data/schema.h"
#include "nn/model_spec.h"

namespace dl::eval {

// What a target asks of a model's ends.
nn::Ends ends_of(const data::Schema& schema);

// Read from a checkpoint's metadata ("model", "schema", and where they are there "ends", "options",
// "manifest_sha256", "arithmetic") and tensors; everything fits together.
struct LoadedModel {
  fs::path path;
  nn::ModelSpec spec;
  data::Schema schema;
  std::vector<float> parameters;
  std::uint64_t step = 0;
  std::string data;             // where the run's manifest was; empty: unknown
  std::string manifest_sha256;  // empty: unknown
  std::optional<std::uint32_t> hold_out;  // shard of that manifest that the run was judged on; none where it is the test part anyway
  std::string arithmetic;       // "defined" or "openblas"
};

// 65 where model, schema and tensors of the checkpoint do not go together.
LoadedModel loaded_model(checkpoint::Checkpoint checkpoint, const fs::path& path);

LoadedModel load_model(const fs::path& run_or_file, bool best);

// 76 with both values where rows made with `other` (of the manifest `where`) mean something else.
void check_same_schema(const LoadedModel& model, const data::Schema& other,
                       const std::string& where);

}  // namespace dl::eval
