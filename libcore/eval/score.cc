// SPDX-License-Identifier: MIT
#include "eval/score.h"

#include <algorithm>
#include <cmath>

#include "nn/loss.h"

namespace dl::eval {

void Score::add(const Score& other) {
  rows += other.rows;
  correct += other.correct;
  weight += other.weight;
  loss += other.loss;
  correct_weight += other.correct_weight;
  squared += other.squared;
  absolute += other.absolute;
  target += other.target;
  target_squared += other.target_squared;
}

double Score::mean_loss() const { return weight > 0 ? loss / weight : 0; }

double Score::accuracy() const { return weight > 0 ? correct_weight / weight : 0; }

double Score::rmse(std::uint32_t outputs) const {
  return weight > 0 ? std::sqrt(squared / (weight * outputs)) : 0;
}

double Score::mae(std::uint32_t outputs) const {
  return weight > 0 ? absolute / (weight * outputs) : 0;
}

double Score::r2() const {
  if (!(weight > 0)) return 0;
  const double deviations = target_squared - target * target / weight;
  if (!(deviations > 0)) return squared == 0 ? 1 : 0;
  return 1 - squared / deviations;
}

Rows RowBuffer::load(const data::Shard& shard, std::uint32_t begin, std::uint32_t end) {
  features_.clear();
  numbers_.clear();
  weights_.clear();
  classes_.clear();
  const std::size_t count = end - begin;
  features_.reserve(count * shard.features());
  numbers_.reserve(count * shard.targets());
  for (std::uint32_t i = begin; i < end; ++i) {
    const std::span<const float> row = shard.row(i);
    features_.insert(features_.end(), row.begin(), row.end());
    if (shard.targets() > 0) {
      const std::span<const float> numbers = shard.numbers(i);
      numbers_.insert(numbers_.end(), numbers.begin(), numbers.end());
    } else {
      classes_.push_back(shard.label(i));
    }
    if (shard.has_weights()) weights_.push_back(shard.weight(i));
  }
  return {end - begin, features_, classes_, numbers_, weights_};
}

std::uint32_t predicted_class(std::span<const float> logits) {
  return static_cast<std::uint32_t>(std::max_element(logits.begin(), logits.end()) -
                                    logits.begin());
}

namespace {

void add_error(Score& score, double weight, float out, float wanted, double scale) {
  const double number = wanted / scale;
  const double error = (static_cast<double>(out) - wanted) / scale;
  score.squared += weight * (error * error);
  score.absolute += weight * std::fabs(error);
  score.target += weight * number;
  score.target_squared += weight * (number * number);
}

double weight_of(const Rows& rows, std::uint32_t row) {
  return rows.weights.empty() ? 1.0 : rows.weights[row];
}

}  // namespace

Score score_number(std::span<const float> outputs, const Rows& rows, const nn::Ends& ends,
                   const data::Schema& schema, std::uint32_t output) {
  Score score;
  score.rows = rows.count;
  const double scale = schema.targets[output].scaling.scale;
  for (std::uint32_t i = 0; i < rows.count; ++i) {
    const std::size_t at = std::size_t{i} * ends.outputs + output;
    score.weight += weight_of(rows, i);
    add_error(score, weight_of(rows, i), outputs[at], rows.numbers[at], scale);
  }
  return score;
}

Score score_outputs(std::span<const float> outputs, const Rows& rows, const nn::Ends& ends,
                    const data::Schema& schema) {
  Score score;
  score.rows = rows.count;
  for (std::uint32_t i = 0; i < rows.count; ++i) {
    const std::span<const float> out = outputs.subspan(std::size_t{i} * ends.outputs, ends.outputs);
    const double weight = weight_of(rows, i);
    score.weight += weight;
    if (ends.loss == nn::Loss::softmax_cross_entropy) {
      const std::uint32_t wanted = rows.classes[i];
      score.loss += weight * nn::cross_entropy(out, wanted);
      if (predicted_class(out) == wanted) {
        ++score.correct;
        score.correct_weight += weight;
      }
      continue;
    }
    const auto wanted = rows.numbers.subspan(std::size_t{i} * ends.outputs, ends.outputs);
    score.loss += weight * nn::squared_error(out, wanted);
    for (std::uint32_t j = 0; j < ends.outputs; ++j) {
      add_error(score, weight, out[j], wanted[j], schema.targets[j].scaling.scale);
    }
  }
  return score;
}

std::uint32_t block_count(std::uint32_t rows) {
  return rows / kBlockRows + (rows % kBlockRows != 0 ? 1 : 0);
}

Score score_block(nn::Model& model, const data::Shard& rows, const data::Schema& schema,
                  std::uint32_t block, RowBuffer& buffer) {
  const std::uint32_t begin = block * kBlockRows;
  const std::uint32_t end = begin + std::min(kBlockRows, rows.rows() - begin);
  const Rows loaded = buffer.load(rows, begin, end);
  const nn::Ends& ends = model.spec().ends;
  std::vector<float> outputs(std::size_t{loaded.count} * ends.outputs);
  model.predict(loaded.features, loaded.count, outputs);
  return score_outputs(outputs, loaded, ends, schema);
}

Score score(nn::Model& model, const data::Shard& rows, const data::Schema& schema) {
  Score total;
  RowBuffer buffer;
  for (std::uint32_t block = 0; block < block_count(rows.rows()); ++block) {
    total.add(score_block(model, rows, schema, block, buffer));
  }
  return total;
}

}  // namespace dl::eval
