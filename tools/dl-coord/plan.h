// SPDX-License-Identifier: MIT
// What the coordinator is told of a run, from the command line and RUN/.
#pragma once

#include "coord/coordinator.h"
#include "coord/files.h"
#include "options.h"

namespace dl::tool {

coord::Plan plan_of(const Options& o, const std::string& run_id, std::uint32_t generation);

// What nodes may ask for: this run's manifest, and the files that it names.
std::shared_ptr<const coord::Files> files_of(const Options& o);

}  // namespace dl::tool
