// SPDX-License-Identifier: MIT
// A small data set in shards, made on the spot: rows that a network can learn, each with a number
// of its own in feature 0.
#pragma once

#include <cstdint>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "data/manifest.h"
#include "data/shard_writer.h"

namespace dl::test {

inline constexpr std::uint32_t kTinyFeatures = 5;

inline data::ShardEntry write_tiny(const fs::path& directory, const std::string& file,
                                   std::uint32_t rows, std::uint32_t first_id, data::Task task) {
  const bool classes = task == data::Task::classification;
  data::ShardShape shape;
  shape.rows = rows;
  shape.features = kTinyFeatures;
  shape.classes = classes ? 3 : 0;
  shape.targets = classes ? 0 : 1;
  data::ShardWriter writer(directory / file, shape);
  for (std::uint32_t i = 0; i < rows; ++i) {
    Rng rng(11, Purpose::test, first_id + i);
    float* row = writer.row();
    row[0] = static_cast<float>(first_id + i) * 1e-3F;
    for (std::uint32_t f = 1; f < kTinyFeatures; ++f) row[f] = rng.uniform(-1, 1);
    if (classes) {
      writer.end_row(row[1] > 0.3F ? 2U : (row[2] > row[3] ? 1U : 0U));
    } else {
      const float wanted = row[1] * row[2] + row[3];
      writer.end_row(std::span(&wanted, 1));
    }
  }
  return writer.commit();
}

// Shards of these sizes, a test part of 300 rows and a validation part of 100.
inline void make_tiny_data(const fs::path& directory, const std::vector<std::uint32_t>& sizes,
                           data::Task task = data::Task::classification) {
  data::Manifest manifest;
  manifest.by = "contiguous";
  manifest.schema.task = task;
  for (std::uint32_t f = 0; f < kTinyFeatures; ++f) {
    data::Column& column = manifest.schema.columns.emplace_back();
    column.name = std::to_string(f);
    column.index = f;
  }
  manifest.schema.input.columns = kTinyFeatures + 1;
  manifest.schema.targets[0].name = std::to_string(kTinyFeatures);
  manifest.schema.targets[0].index = kTinyFeatures;
  if (task == data::Task::classification) manifest.schema.targets[0].classes = {"0", "1", "2"};
  std::uint32_t id = 0;
  for (std::size_t s = 0; s < sizes.size(); ++s) {
    manifest.shards.push_back(
        write_tiny(directory, fmt::format("shard-{:04}.dls", s), sizes[s], id, task));
    id += sizes[s];
  }
  manifest.test = {write_tiny(directory, "test.dls", 300, 100000, task)};
  manifest.validation = {write_tiny(directory, "validation.dls", 100, 200000, task)};
  write_file(directory / "manifest.json", manifest.to_json().dump(1));
}

}  // namespace dl::test
