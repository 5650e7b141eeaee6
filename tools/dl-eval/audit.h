// SPDX-License-Identifier: MIT
// dl-eval --audit: the files of a run, held against each other.
#pragma once

#include "base/error.h"
#include "cli.h"

namespace dl::tool {

// Prints what a run's ledger proves: as a table, or one JSON object. 1 where it does not, 65 where it is no
// ledger, 66 where run, data or ledger is missing, 76 where --data is not what the run trained on.
Exit audit_run(const cli::Given& given);

}  // namespace dl::tool
