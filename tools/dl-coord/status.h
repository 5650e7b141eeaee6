// SPDX-License-Identifier: MIT
// dl-coord --status and --stop: from outside, by what is in RUN/.
#pragma once

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"

namespace dl::tool {

// Prints how the run is doing: a table, or one JSON object. 66 where there is no run.
Exit show_status(const fs::path& run, bool json);

// Asks the dl-coord that runs it to stop (SIGTERM) and waits until it has ended. 0 also where nobody
// runs it. 66 where there is no run, 69 where it runs on another machine.
Exit stop_run(const fs::path& run, const Log& log);

}  // namespace dl::tool
