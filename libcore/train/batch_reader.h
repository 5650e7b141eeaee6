// SPDX-License-Identifier: MIT
// Puts together the rows that a node's shards give to a step.
#pragma once

#include <cstdint>
#include <vector>

#include "data/sampler.h"
#include "nn/batch.h"
#include "train/training_data.h"

namespace dl::train {

// Rows of update `step` over all shards of the manifest, whoever holds them.
std::uint64_t samples_of_step(const data::Manifest& manifest, std::uint64_t batch, std::uint64_t step);

// A pure function of (data, seed, batch size, shards, step), with the orders of the current epoch
// kept at hand. Owned by the training thread; `data` must outlive it and hold the shards.
class BatchReader {
 public:
  BatchReader(const TrainingData& data, std::vector<std::uint32_t> shards, std::uint64_t seed,
              std::uint64_t batch);

  std::uint64_t steps_per_epoch() const { return steps_; }
  // The rows of update `step` (from 0, counted over the whole run). Valid until the next call for another
  // step; for the same one nothing is read again.
  const nn::Batch& read(std::uint64_t step);
  // Rows of that step over all shards.
  std::uint64_t samples_of_step() const { return samples_; }
  // The summed weight of each segment of the last batch (rows, where there are no weights).
  const std::vector<double>& segment_weights() const { return weights_; }

 private:
  void open_epoch(std::uint64_t epoch);

  const TrainingData& data_;
  std::vector<std::uint32_t> shards_;
  std::uint64_t seed_;
  std::uint64_t steps_;
  std::uint64_t epoch_ = UINT64_MAX;
  std::uint64_t step_ = UINT64_MAX;  // that batch_ is of
  std::vector<std::vector<std::uint32_t>> orders_;
  nn::Batch batch_;
  std::vector<data::Positions> places_;
  std::vector<double> weights_;
  std::uint64_t samples_ = 0;
};

}  // namespace dl::train
