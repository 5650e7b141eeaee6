// SPDX-License-Identifier: MIT
// What dl-eval writes to standard output: a judgement or predictions, for people or as JSON.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "eval/loaded_model.h"
#include "eval/metrics.h"
#include "eval/predict.h"
#include "eval/score.h"

namespace dl::tool {

struct Judgement {
  eval::Score score;
  eval::Confusion confusion{0};  // classification
  std::vector<eval::Score> numbers;  // regression: of each target alone
  std::string rows;              // which rows were judged, for people
};

// 64 where --confusion asks for what there is not, or for too much.
void check_matrix(const eval::LoadedModel& model);

// What --fail-under looks at: accuracy, or R2 of a regression (the mean where there are several targets).
double quality(const Judgement& judgement, const eval::LoadedModel& model);

std::string table(const Judgement& judgement, const eval::LoadedModel& model, bool confusion);
// One object on one line.
std::string json_line(const Judgement& judgement, const eval::LoadedModel& model, bool confusion);

// A line per row: class, tab, probability; or the numbers, with tabs; or an object each.
std::string lines(std::span<const eval::Prediction> predictions, const data::Schema& schema,
                  bool json);

// Writes to standard output at once; a reader that left ends the program quietly.
void print(const std::string& text);

}  // namespace dl::tool
