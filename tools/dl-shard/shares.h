// SPDX-License-Identifier: MIT
// What --info tells about the labels of the shards.
#pragma once

#include <string>

#include "base/json.h"
#include "data/manifest.h"

namespace dl {

// The label skew, and a table of each shard's distance to the whole and its share of each class; where
// there are many classes, of the most frequent ones, and of the others together.
std::string shares_table(const data::Manifest& manifest);

// The manifest with what --info shows: "skew", and "skew" and "shares" for each shard and part.
Json report(const data::Manifest& manifest);

}  // namespace dl
