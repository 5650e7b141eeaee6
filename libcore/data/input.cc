// SPDX-License-Identifier: MIT
#include "data/input.h"

#include "base/error.h"
#include "base/file.h"
#include "data/array_reader.h"
#include "data/csv_reader.h"
#include "data/libsvm_reader.h"

namespace dl::data {

namespace {

constexpr std::size_t kHead = std::size_t{1} << 16;  // enough to tell a format

std::string tell_format(InputFiles& files) {
  const std::string_view head = files.head(kHead);
  return looks_like_npy(head) ? "npy" : looks_like_idx(head) ? "idx" : looks_like_libsvm(head) ? "libsvm" : "csv";
}

void refuse_table_options(const InputOptions& options, const std::string& format) {
  ColumnWishes wishes = options.columns;
  wishes.labels.clear();
  if (options.separator || options.header || wishes != ColumnWishes()) {
    fail(Exit::usage, "{} is {}: options about columns, --separator, --header, --missing and --schema are for tables of text",
         options.files[0], format);
  }
}

void add_column(Schema& schema, std::uint32_t index) {
  Column& column = schema.columns.emplace_back();
  column.name = std::to_string(index);
  column.index = index;
}

// Values that all are features, their labels in another file.
void describe_samples(const ArrayReader& reader, Schema& schema) {
  schema.input.shape = reader.shape();
  schema.targets[0].name = "label";
  if (schema.input.format == "npy" && schema.input.shape.size() <= 1) {
    for (std::uint32_t i = 0; i < reader.columns(); ++i) add_column(schema, i);
    return;
  }
  Column& run = schema.columns.emplace_back();
  run.name = schema.input.format == "idx" ? "pixel" : "value";
  run.width = reader.columns();
}

// Two dimensions: a table without names.
void describe_table(ArrayReader& reader, const std::string& label, Schema& schema) {
  const std::uint32_t columns = reader.columns();
  if (columns < 2) {
    fail(Exit::data, "{}: a row has one value, but a label and at least one number are wanted; are the labels in another file (--labels)?",
         reader.file());
  }
  const std::uint32_t target = reader.find_column(label.empty() ? "-1" : label);
  schema.input.columns = columns;
  schema.targets[0].name = std::to_string(target);
  schema.targets[0].index = target;
  for (std::uint32_t i = 0; i < columns; ++i) {
    if (i != target) add_column(schema, i);
  }
  reader.take_label(target);
}

OpenedInput open_array(const InputOptions& options, InputFiles files, const std::string& format) {
  refuse_table_options(options, format);
  auto reader = std::make_unique<ArrayReader>(std::move(files), options.labels);
  if (reader->format() != format) fail(Exit::data, "{}: is {}, not {}", reader->file(), reader->format(), format);
  const std::string& label = options.columns.labels;
  Schema schema;
  schema.input.format = format;
  if (!options.labels.empty()) {
    if (!label.empty()) fail(Exit::usage, "--label is a column, --labels a file: one of them");
    describe_samples(*reader, schema);
  } else if (format == "npy" && reader->shape().size() == 1) {
    describe_table(*reader, label, schema);
  } else {
    fail(Exit::usage, "{}: {} have their labels in a file beside them; say --labels FILE", options.files[0],
         format == "idx" ? "IDX images" : "NPY arrays other than tables (two dimensions)");
  }
  if (schema.columns[0].width == 1) reader->allow_missing();
  return {options.files[0], std::move(reader), std::move(schema), {}};
}

OpenedInput open_libsvm(const InputOptions& options, InputFiles files) {
  refuse_table_options(options, "libsvm");
  if (!options.columns.labels.empty() || !options.labels.empty()) {
    fail(Exit::usage, "--label and --labels: each row of libsvm text begins with its label");
  }
  Schema schema;
  schema.input.format = "libsvm";
  schema.targets[0].name = "label";
  return {options.files[0], std::make_unique<LibsvmReader>(std::move(files)), std::move(schema), {}};
}

struct Table {
  std::unique_ptr<CsvReader> reader;
  std::vector<ColumnUse> uses;
  std::vector<std::string> missing;
};

Table look_at_table(const InputOptions& options, InputFiles files) {
  if (!options.labels.empty()) {
    fail(Exit::usage, "--labels FILE is for arrays (IDX, NPY); a table's label is one of its columns (--label)");
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
  auto reader = std::make_unique<CsvReader>(std::move(files), csv);
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

OpenedInput open_table(const InputOptions& options, InputFiles files) {
  Table table = look_at_table(options, std::move(files));
  ColumnPlan plan = plan_columns(*table.reader, table.uses, table.missing);
  table.reader->plan(std::move(plan.cells));
  return {options.files[0], std::move(table.reader), std::move(plan.schema), std::move(plan.dictionaries)};
}

}  // namespace

OpenedInput open_input(const InputOptions& options) {
  if (options.files.empty()) fail(Exit::usage, "no input file");
  InputFiles files(options.files, options.reading);
  const std::string format = options.format == "auto" ? tell_format(files) : options.format;
  if (format == "npy" || format == "idx") return open_array(options, std::move(files), format);
  if (format == "libsvm") return open_libsvm(options, std::move(files));
  return open_table(options, std::move(files));
}

std::string inferred_schema(const InputOptions& options) {
  if (options.files.empty()) fail(Exit::usage, "no input file");
  InputFiles files(options.files, options.reading);
  const std::string format = options.format == "auto" ? tell_format(files) : options.format;
  if (format != "csv" && format != "tsv") {
    fail(Exit::usage, "{} is {}: schema files are for tables of text", options.files[0], format);
  }
  const Table table = look_at_table(options, std::move(files));
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
