// SPDX-License-Identifier: MIT
#include "data/labels.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <numeric>

#include "base/error.h"
#include "data/record.h"

namespace dl::data {

namespace {

constexpr std::size_t kMostWholeClasses = 100;

bool not_finite(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && !std::isfinite(value);
}

std::string text_of(double number) {
  std::string text(32, '\0');
  text.resize(static_cast<std::size_t>(
      std::to_chars(text.data(), text.data() + text.size(), number).ptr - text.data()));
  return text;
}

std::string place_of(const RowSource& rows) {
  return fmt::format("{}, {}", rows.place(), rows.label_place());
}

}  // namespace

Label Labels::add(std::string_view text, const RowSource& rows) {
  ++count_;
  return recent_.get(text, [&](std::string_view unseen) { return find(unseen, rows); });
}

Label Labels::find(std::string_view text, const RowSource& rows) {
  if (const auto at = known_.find(text); at != known_.end()) return at->second;
  return look_at(text, rows);
}

Label Labels::look_at(std::string_view text, const RowSource& rows) {
  if (text.empty()) {
    fail_row("{}: the label is empty; fill it in or leave the row out", place_of(rows));
  }
  if (not_finite(text)) {
    fail_row("{}: {} is not finite; fill it in or leave the row out", place_of(rows),
         shown(text));
  }
  std::optional<double> number = parse_number(text);
  if (number) {
    *number += 0.0;  // -0 is 0
    any_number_ = true;
    whole_ = whole_ && *number == std::trunc(*number);
  } else {
    if (!is_utf8(std::string(text))) {
      fail_row("{}: the label {} is not UTF-8; convert the file first (iconv)", place_of(rows),
           shown(text));
    }
    if (wanted_ == Task::regression) {
      fail_row("{}: {} is not a number; correct it, or say --task classification",
           place_of(rows), shown(text));
    }
    if (first_word_place_.empty()) {
      first_word_ = text;
      first_word_place_ = place_of(rows);
    }
  }
  Label label{kNoLabelId, number.value_or(0)};
  if (texts_.size() < kMostClasses) {
    label.id = static_cast<std::uint32_t>(texts_.size());
    texts_.emplace_back(text);
    numbers_.push_back(number);
    known_.emplace(text, label);
  } else {
    overflow_ = true;
  }
  return label;
}

LabelKind Labels::finish(const RowSource& rows) const {
  LabelKind kind;
  const bool words = !first_word_place_.empty();
  std::map<double, std::uint32_t> values;  // different numbers, later their codes
  for (const auto& number : numbers_) {
    if (number) values.emplace(*number, 0);
  }
  const bool few = !overflow_ && values.size() <= kMostWholeClasses &&
                   static_cast<double>(values.size() * values.size()) <=
                       4 * static_cast<double>(count_);
  if (!wanted_ && words && any_number_ && !(whole_ && few)) {
    fail(Exit::data, "{}: {} is not a number, but other labels are; correct it, or say --task classification",
         first_word_place_, shown(first_word_));
  }
  const bool one = !overflow_ && (words ? texts_.size() : values.size()) < 2;
  kind.task = wanted_ ? *wanted_
                      : (words || (whole_ && few) || one ? Task::classification : Task::regression);
  if (kind.task == Task::regression) return kind;
  if (overflow_) {
    fail(Exit::data, "{}: more than {} different labels; is it the right column?",
         rows.label_place(), kMostClasses);
  }
  if (one) {
    fail(Exit::data, "{}: every label is {}; at least two classes are wanted", rows.label_place(),
         shown(texts_[0]));
  }
  kind.code_of_id.resize(texts_.size());
  if (!words) {
    for (auto& [number, code] : values) {
      code = static_cast<std::uint32_t>(kind.classes.size());
      kind.classes.push_back(text_of(number));
    }
    for (std::size_t id = 0; id < texts_.size(); ++id) kind.code_of_id[id] = values[*numbers_[id]];
    return kind;
  }
  std::vector<std::uint32_t> order(texts_.size());
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(),
            [this](std::uint32_t a, std::uint32_t b) { return texts_[a] < texts_[b]; });
  for (const std::uint32_t id : order) {
    kind.code_of_id[id] = static_cast<std::uint32_t>(kind.classes.size());
    kind.classes.push_back(texts_[id]);
  }
  return kind;
}

}  // namespace dl::data
