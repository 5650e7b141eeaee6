// SPDX-License-Identifier: MIT
// What dl-shard --append says when it is done.
#pragma once

#include <string>

#include "base/log.h"
#include "cli.h"
#include "data/append.h"

namespace dl {

// A table, or one JSON object; warns where the new rows are far from the old ones.
void show_added(const cli::Given& given, const std::string& directory, const data::Appended& added,
                const Log& log);

}  // namespace dl
