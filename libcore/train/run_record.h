// SPDX-License-Identifier: MIT
// A run's state between its two forms: the flat array that travels, and a checkpoint file that says
// by itself what it is (dl-checkpoint(5)). No linear algebra here.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "train/run_config.h"

namespace dl::train {

// What every checkpoint of a run says beside its numbers, in `__metadata__`: "run_id", "model",
// "ends", "schema", "manifest_sha256", "arithmetic", "options" (the whole RunConfig).
struct RunRecord {
  std::string run_id;
  RunConfig config;
  Json schema;             // data::Schema::to_json()
  std::string arithmetic;  // "defined", or "openblas-" and the core's name

  Json to_metadata() const;
  std::uint64_t state_floats() const;  // train/state_layout.h
};

struct Snapshot {
  std::uint64_t step = 0;
  std::string cursor;         // train::Cursor as JSON
  std::vector<float> values;  // parameters, the slots, the extras
};

// Whole numbers of the cursor become U64 scalars, the others F64. 65 where the cursor is not flat
// numbers, or `values` has another size than the model asks for.
checkpoint::Checkpoint to_checkpoint(const RunRecord& record, const std::string& cursor,
                                     std::span<const float> values);

// 76 with both values where the checkpoint is one of another model, data or optimizer; `what` names it.
Snapshot to_snapshot(const RunRecord& record, const checkpoint::Checkpoint& checkpoint,
                     const std::string& what);

}  // namespace dl::train
