// SPDX-License-Identifier: MIT
// The schema as a table for people.
#pragma once

#include <string>

#include "data/schema.h"

namespace dl {

// A line for each column: what it is, how many features it gives, and what is known of it. Of many
// columns, the first ones.
std::string columns_table(const data::Schema& schema);

}  // namespace dl
