// SPDX-License-Identifier: MIT
// Where each sample goes: to a shard, or to a part that is held out.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "data/distribution.h"
#include "data/split.h"

namespace dl::data {

// Goes through the samples in order, as often as wanted. Places are computed once for the first 2^22
// samples (8 MiB) and anew for those behind them, from a copy of the state at that border, so that memory
// stays bounded.
//
// Who is held out goes with the strategy: with stratified and dirichlet a fraction of each class, with hash
// of the keys, else of the samples (data/split.h).
class Placement {
 public:
  // `table`: the counts of all samples. 64 and 65 as Split and Distribution; 65 where a strategy for
  // classes meets numbers, or where fewer samples are left to train on than there are shards to fill (hash
  // may leave shards empty, and so do weights of 0).
  Placement(const DistributionOptions& options, const TableCounts& table, double test,
            double validation, std::size_t most_known = std::size_t{1} << 22);

  void restart();
  bool knows_next() const { return sample_ < known_.size(); }  // next() will not look at the facts
  // The next sample's place: a shard, or shards() for the test, shards() + 1 for the validation part.
  std::uint32_t next(const SampleFacts& facts = {}) {
    const std::uint64_t sample = sample_++;
    return sample < known_.size() ? known_[sample] : look(sample, facts);
  }
  std::uint32_t shards() const { return now_.distribution.shards(); }

 private:
  using AnySplit = std::variant<Split, StratifiedSplit, KeySplit>;
  // All that the samples passed so far have changed.
  struct State {
    AnySplit split;
    Distribution distribution;
    std::uint64_t training = 0;
  };
  static AnySplit split_for(const DistributionOptions& options, const TableCounts& table, double test,
                            double validation);
  static TableCounts training_of(const AnySplit& split);
  static State begin(const DistributionOptions& options, const TableCounts& table, double test,
                     double validation);
  std::uint32_t look(std::uint64_t sample, const SampleFacts& facts);

  std::size_t most_known_;
  std::uint64_t sample_ = 0;  // passed so far
  State now_;                 // behind all samples that were ever looked at, or since restart()
  std::optional<State> behind_known_;  // once a sample behind known_ was looked at
  std::vector<std::uint16_t> known_;
};

}  // namespace dl::data
