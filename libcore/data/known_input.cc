// SPDX-License-Identifier: MIT
#include "data/known_input.h"

#include <algorithm>

#include "base/error.h"
#include "data/array_reader.h"
#include "data/csv_reader.h"
#include "data/input_files.h"
#include "data/libsvm_reader.h"

namespace dl::data {

namespace {

std::string shape_text(const std::vector<std::uint32_t>& shape) {
  std::string text;
  for (const std::uint32_t size : shape) text += (text.empty() ? "" : "x") + std::to_string(size);
  return text.empty() ? "1" : text;
}

KnownInput open_array(const Schema& schema, InputFiles files, const RawOptions& options) {
  auto reader = std::make_unique<ArrayReader>(std::move(files), options.labels);
  const std::uint32_t columns = reader->columns(), wanted = schema.input.columns;
  if (schema.columns[0].width == 1) reader->allow_missing();
  if (wanted == 0) {
    if (reader->shape() != schema.input.shape) {
      fail(Exit::data, "{}: a sample has {} values, but the model was made for samples of {}",
           reader->file(), shape_text(reader->shape()), shape_text(schema.input.shape));
    }
    return {std::move(reader), !options.labels.empty(), false};
  }
  if (!options.labels.empty()) {
    fail(Exit::usage, "--labels: the model was made for tables, whose target is one of their columns");
  }
  if (reader->shape().size() != 1 || (columns != wanted && columns + 1 != wanted)) {
    fail(Exit::data, "{}: a sample has {} values, but the model was made for {} (or {} without the target)",
         reader->file(), shape_text(reader->shape()), wanted, wanted - 1);
  }
  const bool targets = columns == wanted;
  if (targets) reader->take_label(schema.target().index);
  return {std::move(reader), targets, false};
}

KnownInput open_libsvm(const Schema& schema, InputFiles files) {
  auto reader = std::make_unique<LibsvmReader>(std::move(files),
                                               LibsvmIndices{schema.input.first, schema.input.columns});
  const bool targets = reader->labelled();
  return {std::move(reader), targets, false};
}

bool names_differ(const Schema& schema) {
  std::vector<std::string> names;
  for (const Target& target : schema.targets) names.push_back(target.name);
  for (const Column& column : schema.columns) names.push_back(column.name);
  if (schema.weight) names.push_back(schema.weight->name);
  std::sort(names.begin(), names.end());
  return std::adjacent_find(names.begin(), names.end()) == names.end();
}

// Where a file has the columns of a schema.
class Places {
 public:
  Places(const Schema& schema, const CsvReader& reader) : schema_(schema), reader_(reader) {
    by_name_ = schema.input.header && reader.header() && names_differ(schema);
    if (by_name_) return;
    const auto targets = static_cast<std::uint32_t>(schema.targets.size());
    with_targets_ = reader.columns() == schema.input.columns;
    if (!with_targets_ && reader.columns() + targets != schema.input.columns) {
      fail(Exit::data, "{}: a row has {} cells, but the model was made for {} (or {} without the target)",
           reader.file(), reader.columns(), schema.input.columns, schema.input.columns - targets);
    }
  }

  std::uint32_t of(const std::string& name, std::uint32_t index) const {
    if (by_name_) return reader_.find_column(name);
    if (with_targets_) return index;
    const auto before = std::count_if(schema_.targets.begin(), schema_.targets.end(),
                                      [index](const Target& target) { return target.index < index; });
    return index - static_cast<std::uint32_t>(before);
  }
  bool has(const std::string& name, bool target) const {
    if (!by_name_) return with_targets_ || !target;
    const auto& names = reader_.names();
    return std::find(names.begin(), names.end(), name) != names.end();
  }

 private:
  const Schema& schema_;
  const CsvReader& reader_;
  bool by_name_ = false, with_targets_ = false;
};

KnownInput open_csv(const Schema& schema, std::span<Dictionary> dictionaries, InputFiles files,
                const RawOptions& options, bool key) {
  // A name that is a number may stand in any row; only a word tells a header.
  const std::string& name = schema.columns[0].name;
  const CsvOptions csv{options.header, options.separator ? *options.separator : schema.input.separator,
                       schema.input.header && !parse_number(name) ? name : "", schema.input.missing};
  auto reader = std::make_unique<CsvReader>(std::move(files), csv);
  const Places places(schema, *reader);
  KnownInput opened;
  opened.targets = std::all_of(schema.targets.begin(), schema.targets.end(), [&](const Target& target) {
    return places.has(target.name, true);
  });
  opened.weights = schema.weight && places.has(schema.weight->name, false);

  using Use = CellUse::Kind;
  std::vector<CellUse> uses(reader->columns());
  const auto layout = RowLayout::of(schema);
  std::uint32_t cell = 0;
  for (const Column& column : schema.columns) {
    const bool number = column.kind == Kind::number;
    uses[places.of(column.name, column.index)] = {number ? Use::number : Use::category, cell,
                                                  number ? nullptr : &dictionaries[cell]};
    ++cell;
  }
  for (const Target& target : schema.targets) {
    if (!opened.targets) break;
    uses[places.of(target.name, target.index)] =
        layout.targets > 0 ? CellUse{Use::number, cell++, nullptr} : CellUse{Use::label, 0, nullptr};
  }
  if (opened.weights) {
    uses[places.of(schema.weight->name, schema.weight->index)] = {Use::number, cell++, nullptr};
  }
  if (key && schema.key) {
    uses[places.of(schema.key->name, schema.key->index)] = {Use::key, cell, nullptr};
  }
  reader->plan(std::move(uses));
  opened.rows = std::move(reader);
  return opened;
}

}  // namespace

KnownInput open_known(const Schema& schema, std::span<Dictionary> dictionaries,
                      std::vector<std::string> names, const RawOptions& options, bool key) {
  InputFiles files(std::move(names), options.reading);
  const std::string& format = schema.input.format;
  if (format == "idx" || format == "npy") return open_array(schema, std::move(files), options);
  if (format == "libsvm") return open_libsvm(schema, std::move(files));
  return open_csv(schema, dictionaries, std::move(files), options, key);
}

std::vector<Dictionary> known_categories(const Schema& schema) {
  std::vector<Dictionary> all;
  for (const Column& column : schema.columns) all.emplace_back(column.categories);
  return all;
}

}  // namespace dl::data
