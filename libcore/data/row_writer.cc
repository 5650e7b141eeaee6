// SPDX-License-Identifier: MIT
#include "data/row_writer.h"

#include <cmath>

#include "base/error.h"

namespace dl::data {

std::uint32_t next_place(Placement& placement, const Intake& intake, RowKeys* keys, const double* row,
                         const Label& label) {
  if (placement.knows_next()) return placement.next({});
  SampleFacts facts;
  facts.code = intake.code_of(label);
  if (keys != nullptr) {
    facts.key = keys->of_row(row);
  } else if (intake.layout().key) {
    facts.key = static_cast<std::uint64_t>(row[intake.layout().key_place()]);
  }
  return placement.next(facts);
}

RowWriter::RowWriter(Intake& intake, Output& output, const std::vector<std::string>& names,
                     const std::vector<std::uint64_t>& rows, std::uint32_t shards)
    : intake_(intake), encoder_(intake.schema(), intake.dictionaries()) {
  const Schema& schema = intake.schema();
  ShardShape shape;
  shape.features = schema.features();
  (schema.task == Task::classification ? shape.classes : shape.targets) = schema.outputs();
  shape.weights = intake.layout().weight;
  shape.block_rows = usual_block_rows(shape.features, shards);
  for (std::size_t place = 0; place < names.size(); ++place) {
    if (rows[place] > UINT32_MAX) {
      fail(Exit::data, "{}: {} samples, but a shard holds at most {}; ask for more shards (-n)", names[place],
           rows[place], UINT32_MAX);
    }
    shape.rows = static_cast<std::uint32_t>(rows[place]);
    files_.push_back(place < shards || rows[place] > 0 ? &output.open(names[place], shape) : nullptr);
  }
}

void RowWriter::write(std::uint32_t place, const double* row, const Label& label) {
  const Schema& schema = intake_.schema();
  ShardWriter& to = *files_[place];
  if (!encoder_.encode(row, to.row())) refuse(to.row());
  const RowLayout& layout = intake_.layout();
  const float weight = layout.weight ? static_cast<float>(row[layout.weight_place()]) : 1.0F;
  if (schema.task == Task::classification) {
    to.end_row(intake_.code_of(label), weight);
  } else {
    numbers_.resize(schema.targets.size());
    for (std::uint32_t i = 0; i < numbers_.size(); ++i) {
      numbers_[i] = schema.scale_target(intake_.number_of(row, label, i), i);
      if (!std::isfinite(numbers_[i])) refuse(schema.targets[i].name);
    }
    to.end_row(numbers_, weight);
  }
  ++row_;
}

void RowWriter::refuse(const float* features) const {
  std::uint32_t at = 0;
  while (std::isfinite(features[at])) ++at;
  refuse(intake_.schema().feature_name(at));
}

void RowWriter::refuse(const std::string& name) const {
  fail(Exit::data, "{}: sample {} (from 0), column {}: scaled, it is too large for a float32",
       intake_.counts().name, row_, shown(name));
}

}  // namespace dl::data
