// SPDX-License-Identifier: MIT
#include "data/intake.h"

#include <cmath>

#include "base/error.h"

namespace dl::data {

Intake::Intake(OpenedInput input, IntakeOptions options, bool known)
    : options_(std::move(options)), input_(std::move(input)), known_(known) {
  Labels labels(known ? std::optional(input_.schema.task) : options_.task);
  read(labels);
  Schema& schema = input_.schema;
  if (skipped_ > 0) note(Level::warning, fmt::format("{} bad rows were skipped", skipped_));
  if (spill_->rows() == 0) {
    fail(Exit::data, "{}: has no rows{}", input_.name, schema.input.header ? " below its header" : "");
  }
  spill_->finish(known ? 0 : input_.rows->complete(schema));
  layout_ = RowLayout::of(schema);
  counts_ = {input_.name, spill_->rows(), {}};
  if (!known && layout_.targets == 0) {
    LabelKind kind = labels.finish(*input_.rows);
    schema.task = kind.task;
    schema.targets[0].classes = std::move(kind.classes);
    codes_ = std::move(kind.code_of_id);
  }
  counts_.classes.resize(schema.target().classes.size());
  for (std::size_t id = 0; id < codes_.size(); ++id) counts_.classes[codes_[id]] += id_counts_[id];
}

void Intake::read(Labels& labels) {
  RowSource& rows = *input_.rows;
  layout_ = RowLayout::of(input_.schema);
  spill_ = std::make_unique<Spill>(options_.directory, rows.width(), options_.memory);
  std::string_view label;
  for (bool more = true; more;) {
    try {
      while ((more = rows.next(spill_->row(rows.width()), label))) {
        if (layout_.targets > 0 || layout_.weight) check_row(spill_->row());
        const Label one = layout_.targets > 0 ? Label{} : labels.add(label, rows);
        if (known_ && one.id != kNoLabelId && one.id >= codes_.size()) check_class(one, label);
        count(one);
        spill_->end_row(one);
        if (options_.progress && spill_->rows() % 1024 == 0) options_.progress(spill_->rows(), rows.packed_bytes());
      }
    } catch (const BadRow& bad) {
      skip(bad);
    }
  }
}

void Intake::count(const Label& label) {
  if (label.id == kNoLabelId) return;
  if (label.id >= id_counts_.size()) id_counts_.resize(label.id + 1);
  ++id_counts_[label.id];
}

// A label that comes for the first time.
void Intake::check_class(const Label& label, std::string_view text) {
  const Schema& schema = input_.schema;
  if (schema.task == Task::regression) return;
  const auto code = schema.find_class(text);
  codes_.resize(label.id + 1);
  if (!code) {
    codes_.resize(label.id);
    fail(Exit::data, "{}, {}: {} is none of the {} classes that the shards have; a new class needs new shards",
         input_.rows->place(), input_.rows->label_place(), shown(text), schema.target().classes.size());
  }
  codes_[label.id] = *code;
}

// What the reader lets pass as missing, but a weight or a target may not be.
void Intake::check_row(const double* row) const {
  const auto where = [&](const std::string& name, std::uint32_t index) {
    return fmt::format("{}, column {} ({})", input_.rows->place(), index, shown(name));
  };
  const Schema& schema = input_.schema;
  for (std::uint32_t i = 0; i < layout_.targets; ++i) {
    if (!std::isnan(row[layout_.cells + i])) continue;
    fail_row("{}: the number to predict is missing; fill it in or leave the row out",
             where(schema.targets[i].name, schema.targets[i].index));
  }
  if (!layout_.weight) return;
  const double weight = row[layout_.weight_place()];
  if (!(weight >= 0)) {
    fail_row("{}: the weight is {}; it must be a number from 0 up",
             where(schema.weight->name, schema.weight->index),
             std::isnan(weight) ? "missing" : fmt::format("{}", weight));
  }
}

void Intake::skip(const BadRow& bad) {
  constexpr std::uint64_t kShown = 10;
  if (options_.skip_bad == 0) throw bad;
  if (skipped_ == options_.skip_bad) {
    fail(Exit::data, "{} (after {} other bad rows, as many as --skip-bad allows)", bad.what(), skipped_);
  }
  if (++skipped_ <= kShown) note(Level::warning, fmt::format("skipped: {}", bad.what()));
}

void Intake::turn_into_key(std::uint32_t cell) {
  turned_.emplace(input_.schema, input_.dictionaries, cell);
  layout_ = RowLayout::of(input_.schema);
}

}  // namespace dl::data
