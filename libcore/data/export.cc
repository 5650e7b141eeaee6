// SPDX-License-Identifier: MIT
#include "data/export.h"

#include "base/error.h"
#include "data/decoder.h"
#include "data/shard.h"

namespace dl::data {

namespace {

constexpr std::size_t kWritten = std::size_t{1} << 16;  // at once

void add_cell(std::string& line, const std::string& cell) {
  if (!line.empty() && line.back() != '\n') line += ',';
  const bool blanks = cell.empty() || cell.front() == ' ' || cell.back() == ' ';
  if (!blanks && cell.find_first_of(",\"\r\n\t") == std::string::npos) {
    line += cell;
    return;
  }
  line += '"';
  for (const char c : cell) line += c == '"' ? std::string("\"\"") : std::string(1, c);
  line += '"';
}

std::string header(const Schema& schema) {
  std::string line;
  for (const Column& column : schema.columns) {
    for (std::uint32_t i = 0; i < column.width; ++i) {
      add_cell(line, column.width == 1 ? column.name : fmt::format("{}{}", column.name, i));
    }
  }
  for (const Target& target : schema.targets) add_cell(line, target.name);
  if (schema.weight) add_cell(line, schema.weight->name);
  return line + "\n";
}

void add_row(std::string& text, const Schema& schema, const Shard& shard, std::uint32_t row) {
  for (const std::string& cell : decode_cells(schema, shard.row(row))) add_cell(text, cell);
  if (schema.task == Task::classification) {
    add_cell(text, schema.class_name(shard.label(row)));
  } else {
    const std::span<const float> numbers = shard.numbers(row);
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      add_cell(text, decode_number(numbers[i], schema.targets[i].scaling));
    }
  }
  if (schema.weight) add_cell(text, decode_number(shard.weight(row), Scaling{}));
  text += '\n';
}

std::vector<ShardEntry> entries_of(const Manifest& manifest, const std::string& split) {
  if (split == "train") return manifest.shards;
  if (split != "test" && split != "validation") {
    fail(Exit::usage, "--split: {} is none of train, test and validation", shown(split));
  }
  return split == "test" ? manifest.test : manifest.validation;
}

}  // namespace

void export_csv(const fs::path& directory, const Manifest& manifest, const std::string& split,
                const std::function<void(std::string_view)>& write) {
  const std::vector<ShardEntry> entries = entries_of(manifest, split);
  if (entries.empty()) fail(Exit::data, "{}: has no {} part (dl-shard --{})", directory.string(), split, split);
  std::string text = header(manifest.schema);
  for (const ShardEntry& entry : entries) {
    const Shard shard = open_shard(directory, entry, manifest.schema);
    for (std::uint32_t row = 0; row < shard.rows(); ++row) {
      add_row(text, manifest.schema, shard, row);
      if (text.size() < kWritten) continue;
      write(text);
      text.clear();
    }
  }
  write(text);
}

}  // namespace dl::data
