// SPDX-License-Identifier: MIT
// Whether a run used every sample exactly once in each epoch: its ledger (dl-ledger(5)) against the
// manifest and the newest checkpoint. Pure functions; who reads the files is tools/dl-eval.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "checkpoint/ledger.h"

namespace dl::eval {

// What the other files of the run say.
struct RunFacts {
  std::string run_id;
  std::string manifest_sha256;
  std::uint64_t batch = 0;
  std::vector<std::uint64_t> shard_samples;  // of the shards that are trained on
  checkpoint::LedgerHead recorded;           // in run.json: the ledger as it was when that was written
  // Of the newest checkpoint; none: there is none.
  struct Newest {
    std::uint64_t step = 0;
    std::uint64_t samples = 0;  // used up to that step
    std::string params_sha256;
  };
  std::optional<Newest> newest;
};

// Steps after `begin` up to `end` that led to the newest checkpoint, and the group that trained them.
struct Stretch {
  std::uint64_t begin = 0, end = 0;
  std::uint32_t generation = 0;
  std::uint32_t nodes = 0;
};

struct Audit {
  std::uint64_t lines = 0, starts = 0, groups = 0, losses = 0;
  std::vector<Stretch> lineage;        // contiguous, from step 0 to the newest checkpoint
  std::uint64_t redone = 0;            // further stretches, whose steps were left out because of a loss
  std::uint64_t samples = 0;           // used by the lineage
  std::uint64_t whole_epochs = 0;
  std::uint64_t steps_of_next = 0;     // of the epoch that is not whole
  bool done = false;                   // the run is complete
};

// `what` names the ledger. 1 where anything is not as it must be: the lines and what run.json says of
// them; one owner for each shard in each step; steps without a gap from 0 to the checkpoint; each
// sample of each shard once in each epoch; the checkpoint's step, samples and parameters.
Audit audit(const std::vector<checkpoint::LedgerLine>& lines, const RunFacts& facts, const std::string& what);

}  // namespace dl::eval
