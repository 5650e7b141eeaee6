// SPDX-License-Identifier: MIT
// A data set without one of its shards, with scalings that have not seen it.
#pragma once

#include <cstdint>

#include "base/file.h"
#include "data/manifest.h"

namespace dl::data {

// Writes to the directory `into` what without_shard(manifest, held_out) leaves of the data set in
// `from`, each number scaled anew: the old scaling is undone in double, scalings of the same kind are
// fitted on the shards that are left, row by row in their order, and applied to these, the shard that is
// held out (the test part now) and the validation part. The manifest is written last. Categories and
// what missing numbers were filled with stay as they were. The same bytes whenever the input is the
// same; 65 and 66 as open_shard(), 73 and 74 as Output.
Manifest refit(const fs::path& from, const Manifest& manifest, std::uint32_t held_out, const fs::path& into);

}  // namespace dl::data
