// SPDX-License-Identifier: MIT
// Labels as they come, and what they turn out to be: classes, or numbers to predict.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/recent_texts.h"
#include "data/row_source.h"
#include "data/schema.h"

namespace dl::data {

inline constexpr std::uint32_t kNoLabelId = UINT32_MAX;

// One label: its text's number in order of appearance (kNoLabelId where there are more different texts
// than classes may be), and its value where it is a number, else 0.
struct Label {
  std::uint32_t id = kNoLabelId;
  double number = 0;
};

// What the labels of a table are.
struct LabelKind {
  Task task = Task::classification;
  std::vector<std::string> classes;       // in code order; empty for regression
  std::vector<std::uint32_t> code_of_id;  // classification
};

// Where the task is not given: labels with a word among them are classes. Numbers are classes where
// all are whole and at most 100, and at most twice the square root of the number of samples, are
// different; else they are numbers to predict.
// Numbers that are equal are one class, however they are written ("1", "1.0").
class Labels {
 public:
  explicit Labels(std::optional<Task> wanted) : wanted_(wanted) {}

  // `rows` names the place of a label that is refused (65): empty, not finite, or a word where numbers
  // are to be predicted.
  Label add(std::string_view text, const RowSource& rows);
  // 65 where there is one class only, too many, or a word among numbers.
  LabelKind finish(const RowSource& rows) const;

 private:
  Label find(std::string_view text, const RowSource& rows);
  Label look_at(std::string_view text, const RowSource& rows);

  RecentTexts<Label> recent_;
  std::optional<Task> wanted_;
  std::uint64_t count_ = 0;
  TextMap<Label> known_;
  std::vector<std::string> texts_;             // by id
  std::vector<std::optional<double>> numbers_; // by id
  bool overflow_ = false, whole_ = true, any_number_ = false;
  std::string first_word_, first_word_place_;
};

}  // namespace dl::data
