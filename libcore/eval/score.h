// SPDX-License-Identifier: MIT
// How good a model is on some rows: sums that add up block by block, in order.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/shard.h"
#include "nn/model.h"

namespace dl::eval {

// Rows are judged in fixed blocks of this many, and block sums are added in block order, so that nodes
// and dl-eval agree to the last digit.
inline constexpr std::uint32_t kBlockRows = 256;

// Plain sums over rows; trivially copyable, so that nodes can exchange it as bytes.
struct Score {
  std::uint64_t rows = 0;
  std::uint64_t correct = 0;       // classification
  double weight = 0;
  double loss = 0;                 // weighted
  double correct_weight = 0;
  // Regression, over rows and outputs, weighted, in the target's own units: errors, and the wanted
  // numbers less the schema's shift (near 0, so that their variance is not lost in rounding).
  double squared = 0, absolute = 0;
  double target = 0, target_squared = 0;
  void add(const Score& other);
  // All of these are 0 where nothing weighs anything.
  double mean_loss() const;
  double accuracy() const;
  double rmse(std::uint32_t outputs) const;
  double mae(std::uint32_t outputs) const;
  // 1 - squared errors / squared deviations from the mean (of one output). Where the wanted numbers
  // are all the same: 1 for a perfect prediction, else 0.
  double r2() const;
};

// Rows with what is wanted of them; views.
struct Rows {
  std::uint32_t count = 0;
  std::span<const float> features;          // count x inputs
  std::span<const std::uint32_t> classes;   // count, or empty
  std::span<const float> numbers;           // count x outputs, scaled as the shards are, or empty
  std::span<const float> weights;           // count, or empty: 1 each
};

// Rows and the memory behind them, reused from block to block.
class RowBuffer {
 public:
  // Rows [begin, end) of a shard; valid until the next call.
  Rows load(const data::Shard& shard, std::uint32_t begin, std::uint32_t end);

 private:
  std::vector<float> features_, numbers_, weights_;
  std::vector<std::uint32_t> classes_;
};

// The class of the largest logit; the first of equal ones.
std::uint32_t predicted_class(std::span<const float> logits);

// The errors of one of several numbers that are predicted, without the loss.
Score score_number(std::span<const float> outputs, const Rows& rows, const nn::Ends& ends,
                   const data::Schema& schema, std::uint32_t output);

// Judges the head's raw outputs (count x outputs) row by row.
Score score_outputs(std::span<const float> outputs, const Rows& rows, const nn::Ends& ends,
                    const data::Schema& schema);

std::uint32_t block_count(std::uint32_t rows);

// The score of block `block` of a shard-format file. Regression is judged in the target's own units:
// the schema undoes the target's scaling. The buffer's contents are over.
Score score_block(nn::Model& model, const data::Shard& rows, const data::Schema& schema,
                  std::uint32_t block, RowBuffer& buffer);

// All blocks, in order.
Score score(nn::Model& model, const data::Shard& rows, const data::Schema& schema);

}  // namespace dl::eval
