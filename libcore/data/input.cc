// SPDX-License-Identifier: MIT
#include "data/input.h"

#include "base/error.h"
#include "base/file.h"
#include "data/csv_reader.h"
#include "data/idx_reader.h"

namespace dl::data {

namespace {

OpenedInput open_idx(const InputOptions& options) {
  if (options.labels.empty()) {
    fail(Exit::usage, "{}: IDX images have their labels in a file beside them; say --labels FILE",
         options.files[0]);
  }
  if (!options.label.empty() || options.separator || options.header) {
    fail(Exit::usage, "--label, --separator and --header are for tables, not for IDX images");
  }
  auto reader = std::make_unique<IdxReader>(options.files, options.labels, options.interrupted);
  Schema schema;
  schema.input.format = "idx";
  schema.input.shape = reader->shape();
  schema.columns = {{"pixel", 0, reader->width(), "number", {}}};
  schema.target.name = "label";
  return {std::move(reader), std::move(schema)};
}

OpenedInput open_table(const InputOptions& options) {
  if (!options.labels.empty()) {
    fail(Exit::usage, "--labels FILE is for IDX images; a table's label is one of its columns (--label)");
  }
  // A column's number may stand in any row of numbers; only a word tells a header.
  CsvOptions csv{options.header, options.separator, parse_number(options.label) ? "" : options.label};
  if (options.format == "tsv" && !csv.separator) csv.separator = '\t';
  auto reader = std::make_unique<CsvReader>(options.files, csv, options.interrupted);
  const std::uint32_t columns = reader->columns();
  if (columns < 2) {
    fail(Exit::data, "{}: a row has one cell, but a label and at least one number are wanted; is {} the separator (--separator)?",
         reader->file(), shown(std::string(1, reader->separator())));
  }
  if (columns > kMostFeatures) {
    fail(Exit::data, "{}: a row has {} cells, at most {} are possible", reader->file(), columns,
         kMostFeatures);
  }
  const std::uint32_t label = reader->find_column(options.label.empty() ? "-1" : options.label);
  Schema schema;
  schema.input = {"csv", reader->separator(), reader->header(), columns, {}};
  schema.target.name = reader->names()[label];
  schema.target.index = label;
  std::vector<std::int32_t> places(columns, kLabelCell);
  for (std::uint32_t i = 0; i < columns; ++i) {
    if (i == label) continue;
    places[i] = static_cast<std::int32_t>(schema.columns.size());
    schema.columns.push_back({reader->names()[i], i, 1, "number", {}});
  }
  reader->plan(std::move(places));
  return {std::move(reader), std::move(schema)};
}

}  // namespace

OpenedInput open_input(const InputOptions& options) {
  if (options.files.empty()) fail(Exit::usage, "no input file");
  const std::string& first = options.files[0];
  // A pipe can be read only once, so that there the options alone tell.
  std::error_code error;
  const bool can_look = first != "-" && (fs::is_regular_file(first, error) || !fs::exists(first, error));
  const bool idx = options.format == "idx" ||
                   (options.format == "auto" &&
                    (can_look ? looks_like_idx(first) : !options.labels.empty()));
  return idx ? open_idx(options) : open_table(options);
}

std::uint64_t input_bytes(const std::vector<std::string>& files) {
  std::uint64_t total = 0;
  for (const std::string& file : files) {
    std::error_code error;
    const std::uint64_t size = fs::file_size(file, error);
    if (error) return 0;
    total += size;
  }
  return total;
}

}  // namespace dl::data
