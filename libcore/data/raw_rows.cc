// SPDX-License-Identifier: MIT
#include "data/raw_rows.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "data/array_reader.h"
#include "data/csv_reader.h"
#include "data/dictionary.h"
#include "data/encoder.h"
#include "data/libsvm_reader.h"

namespace dl::data {

namespace {

struct Opened {
  std::unique_ptr<RowSource> rows;
  bool targets = false;
  bool weights = false;
};

std::string shape_text(const std::vector<std::uint32_t>& shape) {
  std::string text;
  for (const std::uint32_t size : shape) text += (text.empty() ? "" : "x") + std::to_string(size);
  return text.empty() ? "1" : text;
}

Opened open_array(const Schema& schema, InputFiles files, const RawOptions& options) {
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

Opened open_libsvm(const Schema& schema, InputFiles files) {
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

Opened open_csv(const Schema& schema, std::span<Dictionary> dictionaries, InputFiles files,
                const RawOptions& options) {
  // A name that is a number may stand in any row; only a word tells a header.
  const std::string& name = schema.columns[0].name;
  const CsvOptions csv{options.header, options.separator ? *options.separator : schema.input.separator,
                       schema.input.header && !parse_number(name) ? name : "", schema.input.missing};
  auto reader = std::make_unique<CsvReader>(std::move(files), csv);
  const Places places(schema, *reader);
  Opened opened;
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
    uses[places.of(schema.weight->name, schema.weight->index)] = {Use::number, cell, nullptr};
  }
  reader->plan(std::move(uses));
  opened.rows = std::move(reader);
  return opened;
}

Opened open(const Schema& schema, std::span<Dictionary> dictionaries, InputFiles files,
            const RawOptions& options) {
  const std::string& format = schema.input.format;
  if (format == "idx" || format == "npy") return open_array(schema, std::move(files), options);
  if (format == "libsvm") return open_libsvm(schema, std::move(files));
  return open_csv(schema, dictionaries, std::move(files), options);
}

std::vector<Dictionary> known_categories(const Schema& schema) {
  std::vector<Dictionary> all;
  for (const Column& column : schema.columns) all.emplace_back(column.categories);
  return all;
}

}  // namespace

struct RawRows::State {
  State(const Schema& its_schema, std::vector<std::string> files, const RawOptions& options)
      : schema(its_schema), layout(RowLayout::of(schema)), dictionaries(known_categories(schema)),
        encoder(schema, dictionaries) {
    source = open(schema, dictionaries, {std::move(files), options.reading}, options);
    values.resize(layout.width());
  }

  Schema schema;
  RowLayout layout;
  std::vector<Dictionary> dictionaries;
  Encoder encoder;
  Opened source;
  std::vector<double> values;

  [[noreturn]] void refuse(const std::string& name, double value) const {
    if (std::isnan(value)) fail(Exit::data, "{}, {}: missing", source.rows->place(), name);
    fail(Exit::data, "{}, {}: {} is too far from the training data for a float32", source.rows->place(),
         name, value);
  }

  void add_features(RawChunk& out) const {
    const std::size_t before = out.features.size();
    out.features.resize(before + encoder.features());
    float* const row = out.features.data() + before;
    if (encoder.encode(values.data(), row)) return;
    std::uint32_t cell = 0, feature = 0;
    for (const Column& column : schema.columns) {
      for (std::uint32_t i = 0; i < column.width && column.kind == Kind::number; ++i) {
        if (!std::isfinite(row[feature + i])) refuse(schema.feature_name(feature + i), values[cell + i]);
      }
      cell += column.width;
      feature += column.features();
    }
  }

  void add_target(std::string_view label, RawChunk& out) const {
    const auto where = [this] {
      return fmt::format("{}, {}", source.rows->place(), source.rows->label_place());
    };
    for (std::uint32_t i = 0; i < layout.targets; ++i) {
      const double number = values[layout.cells + i];
      if (std::isnan(number)) refuse(schema.targets[i].name, number);
      out.numbers.push_back(schema.scale_target(number, i));
    }
    if (layout.targets > 0) return;
    if (schema.task == Task::classification) {
      const auto code = schema.find_class(label);
      if (!code) {
        fail(Exit::data, "{}: {} is none of the {} classes that the model knows", where(),
             shown(label), schema.target().classes.size());
      }
      out.classes.push_back(*code);
      return;
    }
    const auto number = parse_number(label);
    if (!number) fail(Exit::data, "{}: {} is not a number", where(), shown(label));
    out.numbers.push_back(schema.scale_target(*number));
  }

  void add_weight(RawChunk& out) const {
    const double weight = values[layout.cells + (source.targets ? layout.targets : 0)];
    if (!(weight >= 0)) {
      fail(Exit::data, "{}, {}: the weight must be a number from 0 up", source.rows->place(),
           schema.weight->name);
    }
    out.weights.push_back(static_cast<float>(weight));
  }
};

RawRows::RawRows(const Schema& schema, std::vector<std::string> files, RawOptions options) {
  if (files.empty()) fail(Exit::bug, "no file to read rows from");
  state_ = std::make_unique<State>(schema, std::move(files), options);
}

RawRows::~RawRows() = default;
RawRows::RawRows(RawRows&&) noexcept = default;

bool RawRows::has_targets() const { return state_->source.targets; }

std::uint32_t RawRows::read(std::uint32_t most, RawChunk& out) {
  out.rows = 0;
  out.features.clear();
  out.classes.clear();
  out.numbers.clear();
  out.weights.clear();
  std::string_view label;
  while (out.rows < most && state_->source.rows->next(state_->values.data(), label)) {
    state_->add_features(out);
    if (state_->source.targets) state_->add_target(label, out);
    if (state_->source.weights) state_->add_weight(out);
    ++out.rows;
  }
  return out.rows;
}

}  // namespace dl::data
