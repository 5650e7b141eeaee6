// SPDX-License-Identifier: MIT
// --by and what its strategies are told, as they stand on the command line of dl-shard.
#pragma once

#include "cli.h"
#include "data/sharder.h"

namespace dl {

// 64 where an option belongs to another strategy, or is missing. The length of --weights gives the
// number of shards where -n does not.
void read_strategy(const cli::Given& given, data::ShardOptions& options);

}  // namespace dl
