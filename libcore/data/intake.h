// SPDX-License-Identifier: MIT
// The whole of an input, read once and kept as numbers, with what only all of its rows tell.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/file.h"
#include "base/log.h"
#include "data/distribution.h"
#include "data/input.h"
#include "data/labels.h"
#include "data/row_keys.h"
#include "data/spill.h"

namespace dl::data {

struct IntakeOptions {
  fs::path directory;               // for what does not fit in memory
  std::size_t memory = 0;           // bytes of numbers to keep there
  std::optional<Task> task;         // unset: told from the labels
  std::uint64_t skip_bad = 0;       // rows that may be refused and left out
  // Now and then, in each pass over the rows; may throw.
  std::function<void(std::uint64_t rows, std::uint64_t packed_bytes)> progress;
  std::function<void(Level, const std::string&)> note;
};

class Intake {
 public:
  // Reads to the end: 65 where a row is bad beyond skip_bad, or there is none. With `known`, the input's
  // schema is complete already: labels must be of its classes.
  Intake(OpenedInput input, IntakeOptions options, bool known = false);

  const Schema& schema() const { return input_.schema; }
  Schema& schema() { return input_.schema; }
  const std::vector<Dictionary>& dictionaries() const { return input_.dictionaries; }
  const RowLayout& layout() const { return layout_; }
  const TableCounts& counts() const { return counts_; }

  // A row's class, or the number to predict.
  std::uint32_t code_of(const Label& label) const { return codes_.empty() ? 0 : codes_[label.id]; }
  double number_of(const double* row, const Label& label, std::uint32_t target) const {
    return layout_.targets > 0 ? row[layout_.cells + target] : label.number;
  }

  // The class of the first row, where no other row has its label.
  std::optional<std::uint32_t> class_of_first_row_alone() const {
    if (codes_.empty() || id_counts_[0] != 1 || counts_.samples < 3) return std::nullopt;
    return codes_[0];
  }

  // From now on this column is the key of its rows, and no feature.
  void turn_into_key(std::uint32_t cell);

  // All rows in order, laid out as layout() says. Several threads may do so at once, one of them through
  // this, which tells how far it is, the others with what they want to do now and then instead.
  template <typename Row>  // (const double*, const Label&)
  void for_each_row(Row&& each) const {
    for_each_row(std::forward<Row>(each), [this](std::uint64_t rows) {
      if (options_.progress) options_.progress(rows, input_.rows->packed_bytes());
    });
  }
  template <typename Row, typename Then>
  void for_each_row(Row&& each, Then&& then) const {
    std::uint64_t row = 0;
    std::optional<TurnedKey> turned = turned_;  // it has a row of its own
    spill_->for_each([&](std::span<const double> values, std::span<const Label> labels) {
      for (const Label& label : labels) {
        each(turned ? turned->turn(values.data()) : values.data(), label);
        values = values.subspan(layout_.width());
      }
      then(row += labels.size());
    });
  }

 private:
  void read(Labels& labels);
  void check_row(const double* row) const;
  void check_class(const Label& label, std::string_view text);
  void count(const Label& label);
  void skip(const BadRow& bad);
  void note(Level level, const std::string& text) const {
    if (options_.note) options_.note(level, text);
  }

  IntakeOptions options_;
  OpenedInput input_;
  bool known_;
  RowLayout layout_;
  std::unique_ptr<Spill> spill_;
  std::vector<std::uint32_t> codes_;       // by label id
  std::vector<std::uint64_t> id_counts_;
  TableCounts counts_;
  std::optional<TurnedKey> turned_;
  std::uint64_t skipped_ = 0;
};

}  // namespace dl::data
