// SPDX-License-Identifier: MIT
// Arrays: the first byte chooses whether the label is a column or the same file gives the labels too.
#pragma once

#include "table.h"

namespace dl::fuzz {

inline void read_array(const char* format, const std::uint8_t* data, std::size_t size) {
  if (size == 0) return;
  const MemoryFile file(text_of(data + 1, size - 1));
  data::InputOptions options;
  options.files.assign(data[0] & 1 ? 2 : 1, file.path());
  options.format = format;
  const bool beside = (data[0] & 2) != 0 || std::string_view(format) == "idx";
  if (beside) options.labels = file.path();
  if (!beside && (data[0] & 4)) options.columns.labels = "0";
  data::Schema schema;
  if (read_table(options, false, schema)) read_raw(schema, file.path(), options.labels);
}

}  // namespace dl::fuzz
