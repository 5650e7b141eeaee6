// SPDX-License-Identifier: MIT
// A new run that begins with the parameters of an older one (dl-coord --init). No linear algebra here.
#pragma once

#include <string>

#include "checkpoint/checkpoint.h"
#include "train/run_record.h"

namespace dl::train {

// The state at step 0 of the run `record`: the checkpoint's parameters, and an optimizer that has seen
// nothing. 76 with both values where the checkpoint's model is another one, or where its features and
// targets mean something else; `what` names it.
Snapshot begin_with(const RunRecord& record, const checkpoint::Checkpoint& checkpoint, const std::string& what);

}  // namespace dl::train
