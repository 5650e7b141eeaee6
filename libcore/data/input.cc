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
  if (!telling_name(options.columns).empty() || !options.columns.labels.empty() || options.separator ||
      options.header || !options.columns.file.empty()) {
    fail(Exit::usage, "--label, --schema, --separator and --header are for tables, not for IDX images");
  }
  auto reader = std::make_unique<IdxReader>(options.files, options.labels, options.interrupted);
  Schema schema;
  schema.input.format = "idx";
  schema.input.shape = reader->shape();
  Column& pixels = schema.columns.emplace_back();
  pixels.name = "pixel";
  pixels.width = reader->width();
  schema.targets[0].name = "label";
  return {std::move(reader), std::move(schema), std::vector<Dictionary>(1)};
}

struct Table {
  std::unique_ptr<CsvReader> reader;
  std::vector<ColumnUse> uses;
  std::vector<std::string> missing;
};

Table look_at_table(const InputOptions& options) {
  if (!options.labels.empty()) {
    fail(Exit::usage, "--labels FILE is for IDX images; a table's label is one of its columns (--label)");
  }
  ColumnWishes wishes = options.columns;
  // A column's number may stand in any row of numbers; only a word tells a header.
  CsvOptions csv{options.header, options.separator, telling_name(wishes), wishes.missing};
  if (options.format == "tsv" && !csv.separator) csv.separator = '\t';
  if (!wishes.file.empty()) {
    const SchemaFile file = read_schema_file(wishes.file);
    if (!csv.header) csv.header = file.header;
    if (!csv.separator) csv.separator = file.separator;
    if (file.missing && wishes.missing == ColumnWishes().missing) csv.missing = wishes.missing = *file.missing;
  }
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
  std::vector<ColumnUse> uses = uses_of(*reader, wishes);
  return {std::move(reader), std::move(uses), wishes.missing};
}

OpenedInput open_table(const InputOptions& options) {
  Table table = look_at_table(options);
  ColumnPlan plan = plan_columns(*table.reader, table.uses, table.missing);
  table.reader->plan(std::move(plan.cells));
  return {std::move(table.reader), std::move(plan.schema), std::move(plan.dictionaries)};
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

std::string inferred_schema(const InputOptions& options) {
  if (options.files.empty()) fail(Exit::usage, "no input file");
  const Table table = look_at_table(options);
  return schema_file(*table.reader, table.uses, table.missing);
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
