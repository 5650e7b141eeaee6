// SPDX-License-Identifier: MIT
#include "data/raw_rows.h"

#include <cmath>

#include "base/error.h"
#include "data/dictionary.h"
#include "data/encoder.h"
#include "data/known_input.h"

namespace dl::data {

struct RawRows::State {
  State(const Schema& its_schema, std::vector<std::string> files, const RawOptions& options)
      : schema(its_schema), layout(RowLayout::of(schema)), dictionaries(known_categories(schema)),
        encoder(schema, dictionaries) {
    source = open_known(schema, dictionaries, std::move(files), options);
    values.resize(layout.width());
  }

  Schema schema;
  RowLayout layout;
  std::vector<Dictionary> dictionaries;
  Encoder encoder;
  KnownInput source;
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
