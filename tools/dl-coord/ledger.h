// SPDX-License-Identifier: MIT
// What RUN/ledger says (dl-ledger(5)): the lines as values. eval/audit reads them again.
#pragma once

#include <optional>

#include "checkpoint/checkpoint.h"
#include "checkpoint/ledger.h"
#include "coord/server.h"
#include "options.h"
#include "train/run_record.h"

namespace dl::tool {

// What the lines of this start follow from: the run, where it has none yet, and the state to go on from.
void begin_ledger(checkpoint::Ledger& ledger, const Options& options, const train::RunRecord& run,
                  const coord::ServerSettings& settings);
// Before a checkpoint is written.
Json ledger_checkpoint(std::uint64_t step, std::span<const float> parameters);
// Of the groups that the ledger tells of; 0: none. What is damaged is the audit's affair.
std::uint32_t newest_generation(const fs::path& ledger);
// Of what was announced, if it belongs there; `now` knows the group.
std::optional<Json> ledger_entry(const Json& event, const coord::Coordinator& now);

}  // namespace dl::tool
