// SPDX-License-Identifier: MIT
// The command line of dl-shard.
#pragma once

#include <optional>
#include <string>

#include "cli.h"
#include "data/sharder.h"

namespace dl {

cli::Table shard_options();

// Which of --info, --verify and --export is asked for; 64 where it is more than one of them.
std::optional<std::string> instead_of_writing(const cli::Given& given);

// What is to be read, and what made of it; 64 where that makes no sense. With --append, what is not
// said is as in the directory's manifest.
data::ShardOptions options_of(const cli::Given& given);

}  // namespace dl
