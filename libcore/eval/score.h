// SPDX-License-Identifier: MIT
// How good a model is on some rows: sums that add up block by block, in order.
#pragma once

#include <cstdint>
#include <span>

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
  double squared = 0, absolute = 0;            // regression, over rows and outputs, weighted
  double target = 0, target_squared = 0;       // sums of wanted numbers and their squares, weighted
  void add(const Score& other);
  double mean_loss() const;
  double accuracy() const;
  double rmse(std::uint32_t outputs) const;
  double mae(std::uint32_t outputs) const;
  double r2() const;
};

std::uint32_t block_count(std::uint32_t rows);

// The score of block `block` of a shard-format file. Regression is judged in the target's own units:
// the schema undoes the target's scaling.
Score score_block(nn::Model& model, const data::Shard& rows, const data::Schema& schema,
                  std::uint32_t block);

// All blocks, in order.
Score score(nn::Model& model, const data::Shard& rows, const data::Schema& schema);

}  // namespace dl::eval
