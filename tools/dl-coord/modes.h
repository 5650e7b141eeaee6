// SPDX-License-Identifier: MIT
// What --mode and its companions say, as values.
#pragma once

#include <optional>

#include "cli.h"
#include "comm/collective.h"
#include "train/run_config.h"

namespace dl::tool {

void add_mode_options(cli::Table& table);

// Fills in mode and agreement; the model must be known. 64 where an option belongs to another mode, or the
// model cannot be trained that way.
void read_mode(const cli::Given& given, train::RunConfig& config);

// Stages of the pipeline, no more than layers (64); 0: as many as can be. No part of the configuration, since
// it cannot change a result.
std::uint32_t read_stages(const cli::Given& given, const train::RunConfig& config);

// That which the shards' sums are to go by; none where nodes choose, or add something else than parts of shards.
std::optional<comm::Collective> wished_collective(const train::RunConfig& config);

}  // namespace dl::tool
