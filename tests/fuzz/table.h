// SPDX-License-Identifier: MIT
// The way of a table through dl-shard and, by what was learnt of it, through dl-eval.
#pragma once

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "data/input.h"
#include "data/raw_rows.h"
#include "target.h"

namespace dl::fuzz {

// Reads all rows as dl-shard does; bad rows are left out where `skip` says so.
inline bool read_table(const data::InputOptions& options, bool skip, data::Schema& schema) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  constexpr std::size_t kMostNumbers = std::size_t{1} << 20;  // of all rows: time is bounded
  constexpr std::uint32_t kWidest = 1U << 12;                 // the same
  bool whole = true;
  return accepted([&] {
    data::OpenedInput input = data::open_input(options);
    std::vector<double> row;
    std::string_view label;
    std::size_t numbers = 0;
    for (bool more = true; more && numbers < kMostNumbers;) {
      try {
        const std::uint32_t width = input.rows->width();
        must(width >= row.size(), "rows never shrink");
        if (width > kWidest) return void(whole = false);
        row.assign(width, 0.5);
        more = input.rows->next(row.data(), label);
        if (!more) break;
        numbers += width + 1;
        for (const double x : row) must(std::isnan(x) || std::abs(x) <= kLargest, "numbers are finite");
        must(!input.rows->place().empty(), "a row has a place");
      } catch (const data::BadRow&) {
        if (!skip) throw;
        numbers += 64;
      }
    }
    schema = input.schema;
    (void)input.rows->complete(schema);
  }, Exit::usage) && whole;  // images without labels beside them are a wrong command line
}

// Reads the same file as raw rows: in the same format it may be refused, but nothing worse.
inline void read_raw(data::Schema schema, const std::string& file, const std::string& labels) {
  if (schema.targets.size() == 1) schema.targets[0].classes = {"0", "1"};
  accepted([&] {
    data::RawOptions options;
    options.labels = labels;
    data::RawRows rows(schema, {file}, options);
    data::RawChunk chunk;
    for (int i = 0; i < 16 && rows.read(64, chunk) > 0; ++i) {
      must(chunk.features.size() == std::size_t{chunk.rows} * schema.features(), "rows have all features");
      for (const float x : chunk.features) must(std::isfinite(x), "features are finite");
    }
  });
}

}  // namespace dl::fuzz
