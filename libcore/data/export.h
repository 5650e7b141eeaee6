// SPDX-License-Identifier: MIT
// Shards as a table again, so that other programs can be run on the same rows.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/file.h"
#include "data/manifest.h"

namespace dl::data {

// CSV with a header (RFC 4180): the schema's columns in their order, then the targets, then the weight
// where there is one. `split` is train (shard by shard), test or validation; 65 where there is none.
void export_csv(const fs::path& directory, const Manifest& manifest, const std::string& split,
                const std::function<void(std::string_view)>& write);

}  // namespace dl::data
