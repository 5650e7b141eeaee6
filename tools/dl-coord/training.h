// SPDX-License-Identifier: MIT
// A run, from its command line to its end.
#pragma once

#include "base/error.h"
#include "cli.h"
#include "streams.h"

namespace dl::tool {

// 0 where it is complete, now or before. Whatever ends it otherwise is an Error with the exit code.
Exit train_run(const cli::Given& given, cli::Streams& streams);

}  // namespace dl::tool
