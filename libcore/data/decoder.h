// SPDX-License-Identifier: MIT
// Features back to cells: what the encoder (encoder.h) made, undone as far as it can be.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "data/schema.h"

namespace dl::data {

// A number comes back as the shortest decimal text within the rounding of its float32 feature, which
// is nearly always the text that was read. What was filled in for a missing cell stays, unless the
// column has an indicator: then the text is empty. A text that was no category of its own is "other".
std::vector<std::string> decode_cells(const Schema& schema, std::span<const float> features);

// A number of a shard in the units that it was read in.
std::string decode_number(float value, const Scaling& scaling);

}  // namespace dl::data
