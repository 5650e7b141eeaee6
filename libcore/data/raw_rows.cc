// SPDX-License-Identifier: MIT
#include "data/raw_rows.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "data/csv_reader.h"
#include "data/idx_reader.h"

namespace dl::data {

namespace {

struct Opened {
  std::unique_ptr<RowSource> rows;
  bool targets = false;
};

std::string shape_text(const std::vector<std::uint32_t>& shape) {
  std::string text;
  for (const std::uint32_t size : shape) text += (text.empty() ? "" : "x") + std::to_string(size);
  return text.empty() ? "1" : text;
}

Opened open_idx(const Schema& schema, std::vector<std::string> files, const RawOptions& options) {
  auto reader = std::make_unique<IdxReader>(files, options.labels, options.interrupted);
  if (reader->shape() != schema.input.shape) {
    fail(Exit::data, "{}: a sample has {} values, but the model was made for samples of {}",
         files[0], shape_text(reader->shape()), shape_text(schema.input.shape));
  }
  return {std::move(reader), !options.labels.empty()};
}

bool names_differ(const Schema& schema) {
  std::vector<std::string> names = {schema.target.name};
  for (const Column& column : schema.columns) names.push_back(column.name);
  std::sort(names.begin(), names.end());
  return std::adjacent_find(names.begin(), names.end()) == names.end();
}

// The places by name, where the file and the schema both know names.
std::vector<std::int32_t> places_by_name(const Schema& schema, const CsvReader& reader) {
  std::vector<std::int32_t> places(reader.columns(), kIgnoredCell);
  for (std::size_t i = 0; i < schema.columns.size(); ++i) {
    places[reader.find_column(schema.columns[i].name)] = static_cast<std::int32_t>(i);
  }
  const auto& names = reader.names();
  if (std::find(names.begin(), names.end(), schema.target.name) != names.end()) {
    places[reader.find_column(schema.target.name)] = kLabelCell;
  }
  return places;
}

std::vector<std::int32_t> places_by_number(const Schema& schema, const CsvReader& reader) {
  const bool with_target = reader.columns() == schema.input.columns;
  if (!with_target && reader.columns() + 1 != schema.input.columns) {
    fail(Exit::data, "{}: a row has {} cells, but the model was made for {} (or {} without the target)",
         reader.file(), reader.columns(), schema.input.columns, schema.input.columns - 1);
  }
  std::vector<std::int32_t> places(reader.columns(), kIgnoredCell);
  for (std::size_t i = 0; i < schema.columns.size(); ++i) {
    std::uint32_t column = schema.columns[i].index;
    if (!with_target && column > schema.target.index) --column;
    places[column] = static_cast<std::int32_t>(i);
  }
  if (with_target) places[schema.target.index] = kLabelCell;
  return places;
}

Opened open_csv(const Schema& schema, std::vector<std::string> files, const RawOptions& options) {
  // A name that is a number may stand in any row; only a word tells a header.
  const std::string& name = schema.columns[0].name;
  const CsvOptions csv{options.header, options.separator ? *options.separator : schema.input.separator,
                       schema.input.header && !parse_number(name) ? name : ""};
  auto reader = std::make_unique<CsvReader>(std::move(files), csv, options.interrupted);
  const bool by_name = schema.input.header && reader->header() && names_differ(schema);
  auto places = by_name ? places_by_name(schema, *reader) : places_by_number(schema, *reader);
  const bool targets = std::find(places.begin(), places.end(), kLabelCell) != places.end();
  reader->plan(std::move(places));
  return {std::move(reader), targets};
}

}  // namespace

struct RawRows::State {
  Schema schema;
  std::vector<Scaling> scalings;
  Opened source;
  std::vector<double> values;

  void add_target(std::string_view label, RawChunk& out) const {
    const auto where = [this] {
      return fmt::format("{}, {}", source.rows->place(), source.rows->label_place());
    };
    if (schema.task == Task::classification) {
      const auto code = schema.find_class(label);
      if (!code) {
        fail(Exit::data, "{}: {} is none of the {} classes that the model knows", where(),
             shown(label), schema.target.classes.size());
      }
      out.classes.push_back(*code);
      return;
    }
    const auto number = parse_number(label);
    if (!number) fail(Exit::data, "{}: {} is not a number", where(), shown(label));
    out.numbers.push_back(schema.scale_target(*number));
  }
};

RawRows::RawRows(const Schema& schema, std::vector<std::string> files, RawOptions options)
    : state_(std::make_unique<State>()) {
  if (files.empty()) fail(Exit::bug, "no file to read rows from");
  state_->schema = schema;
  state_->scalings = schema.scalings();
  state_->source = schema.input.format == "idx" ? open_idx(schema, std::move(files), options)
                                                : open_csv(schema, std::move(files), options);
  state_->values.resize(state_->scalings.size());
}

RawRows::~RawRows() = default;
RawRows::RawRows(RawRows&&) noexcept = default;

bool RawRows::has_targets() const { return state_->source.targets; }

std::uint32_t RawRows::read(std::uint32_t most, RawChunk& out) {
  out.rows = 0;
  out.features.clear();
  out.classes.clear();
  out.numbers.clear();
  std::string_view label;
  while (out.rows < most && state_->source.rows->next(state_->values.data(), label)) {
    for (std::size_t i = 0; i < state_->values.size(); ++i) {
      out.features.push_back(state_->scalings[i].apply(state_->values[i]));
      if (!std::isfinite(out.features.back())) {
        fail(Exit::data, "{}, {}: {} is too far from the training data for a float32",
             state_->source.rows->place(),
             state_->schema.feature_name(static_cast<std::uint32_t>(i)), state_->values[i]);
      }
    }
    if (state_->source.targets) state_->add_target(label, out);
    ++out.rows;
  }
  return out.rows;
}

}  // namespace dl::data
