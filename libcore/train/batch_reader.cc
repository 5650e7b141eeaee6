// SPDX-License-Identifier: MIT
#include "train/batch_reader.h"

#include <algorithm>

namespace dl::train {

namespace {

std::uint64_t rows_at(const data::Manifest& manifest, std::uint64_t t, std::uint64_t steps) {
  std::uint64_t rows = 0;
  for (const data::ShardEntry& entry : manifest.shards) {
    const auto place = data::positions_of_step(static_cast<std::uint32_t>(entry.samples), t, steps);
    rows += place.end - place.begin;
  }
  return rows;
}

}  // namespace

std::uint64_t samples_of_step(const data::Manifest& manifest, std::uint64_t batch, std::uint64_t step) {
  const std::uint64_t steps = data::steps_per_epoch(manifest.training_samples(), batch);
  return rows_at(manifest, step % steps, steps);
}

BatchReader::BatchReader(const TrainingData& data, std::vector<std::uint32_t> shards,
                         std::uint64_t seed, std::uint64_t batch)
    : data_(data),
      shards_(std::move(shards)),
      seed_(seed),
      steps_(data::steps_per_epoch(data.manifest().training_samples(), batch)),
      orders_(shards_.size()) {}

void BatchReader::open_epoch(std::uint64_t epoch) {
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    orders_[i] = data::epoch_order(seed_, epoch, shards_[i], data_.shard(shards_[i]).rows());
  }
  epoch_ = epoch;
}

const nn::Batch& BatchReader::read(std::uint64_t step) {
  if (step == step_) return batch_;
  step_ = UINT64_MAX;  // should this fail
  if (step / steps_ != epoch_) open_epoch(step / steps_);
  const std::uint64_t t = step % steps_;
  const bool numbers = data_.manifest().schema.task == data::Task::regression;
  const std::uint32_t features = data_.manifest().schema.features();
  bool weighted = false;

  batch_.offsets.assign(1, 0);
  weights_.clear();
  batch_.classes.clear();
  batch_.numbers.clear();
  batch_.weights.clear();
  std::uint32_t rows = 0;
  places_.clear();
  for (const std::uint32_t s : shards_) {
    places_.push_back(data::positions_of_step(data_.shard(s).rows(), t, steps_));
    rows += places_.back().end - places_.back().begin;
    batch_.offsets.push_back(rows);
    weighted = weighted || data_.shard(s).has_weights();
  }
  batch_.rows = rows;
  samples_ = rows_at(data_.manifest(), t, steps_);
  batch_.features.resize(std::size_t{rows} * features);
  float* to = batch_.features.data();
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    const data::Shard& shard = data_.shard(shards_[i]);
    double weight = 0;
    for (std::uint32_t p = places_[i].begin; p < places_[i].end; ++p) {
      // Rows lie scattered over the file: ask for the next ones while this one is copied.
      if (p + 2 < places_[i].end) {
        const float* next = shard.row(orders_[i][p + 2]).data();
        for (std::uint32_t f = 0; f < features; f += 16) __builtin_prefetch(next + f);
      }
      const std::uint32_t row = orders_[i][p];
      to = std::copy_n(shard.row(row).data(), features, to);
      if (numbers) {
        const auto wanted = shard.numbers(row);
        batch_.numbers.insert(batch_.numbers.end(), wanted.begin(), wanted.end());
      } else {
        batch_.classes.push_back(shard.label(row));
      }
      if (weighted) batch_.weights.push_back(shard.weight(row));
      weight += shard.weight(row);
    }
    weights_.push_back(weight);
  }
  step_ = step;
  return batch_;
}

}  // namespace dl::train
