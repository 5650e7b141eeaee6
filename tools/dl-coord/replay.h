// SPDX-License-Identifier: MIT
// dl-coord --replay RUN: an asynchronous run once more, up to its newest checkpoint, on one spawned node.
#pragma once

#include "base/error.h"
#include "cli.h"
#include "streams.h"

namespace dl::tool {

// Prints the `done` event of the replay. 1 where its parameters are not the checkpoint's. Before a node is
// started: 64 where the run is not asynchronous, 65, 66 or 76 where run, data, checkpoint or log are not what
// they must be. Writes nothing; the run may be running.
Exit replay(const cli::Given& given, cli::Streams& streams);

}  // namespace dl::tool
