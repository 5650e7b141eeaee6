// SPDX-License-Identifier: MIT
// Which training sample goes to which shard.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/quotas.h"

namespace dl::data {

enum class By { random, round_robin, contiguous, stratified, weighted, dirichlet, hash, automatic };

By by_of(const std::string& name);  // 64 where there is no such strategy
const char* name_of(By by);
const std::vector<std::string>& by_names();

struct DistributionOptions {
  By by = By::random;
  std::uint32_t shards = 8;
  std::uint64_t seed = 1;
  std::vector<double> weights;  // weighted: one for each shard, at least 0, one above 0
  double alpha = 0.5;           // dirichlet: above 0
};

// What a strategy may ask about a sample.
struct SampleFacts {
  std::uint32_t code = 0;  // its class; 0 where a number is predicted
  std::uint64_t key = 0;   // what holds it together with others (data/key.h); 0 where there is none
};

// What is known of a table, or of its training part, before samples are placed.
struct TableCounts {
  std::string name;  // for messages
  std::uint64_t samples = 0;
  std::vector<std::uint64_t> classes;  // samples of each; empty where a number is predicted
};

// A pure function of the options, of the training part's counts and of the samples' facts and numbers
// among the training samples (from 0):
//   random       each run of `shards` samples is dealt out in a random order of its own
//   round_robin  sample i goes to shard i mod shards
//   contiguous   shard s gets samples ceil(s * total / shards) up to ceil((s + 1) * total / shards)
//   stratified   of each class, and of all, shards have the same number, to within one; at random
//   weighted     shards have samples in proportion to their weights, to within one; at random
//   hash         the shard follows from seed and key alone
//   dirichlet    each class is divided in proportions of its own, from the symmetric Dirichlet distribution
//                (Yurochkin et al.: "Bayesian nonparametric federated learning of neural networks", ICML
//                2019, section 4), to within one; at random
// The object keeps the order of the run last asked for, so that asking in order is fast. Stratified,
// weighted and dirichlet count down quotas (data/quotas.h): they are asked for each sample once, in order,
// and a copy goes on from where the original stood.
class Distribution {
 public:
  // `training`: exact, but for hash, which does not look at it. 65 where quotas would take too much memory.
  Distribution(DistributionOptions options, const TableCounts& training);
  std::uint32_t shard_of(std::uint64_t sample, const SampleFacts& facts = {});
  std::uint32_t shards() const { return options_.shards; }

 private:
  void stratify(const std::vector<std::uint64_t>& classes);
  std::uint32_t deal(std::uint64_t sample);

  DistributionOptions options_;
  std::uint64_t total_;
  std::uint64_t run_ = UINT64_MAX;    // random: whose order is:
  std::vector<std::uint32_t> order_;
  Quotas quotas_;
};

// Stratified and dirichlet.
bool wants_classes(By by);
// Whether so many quotas are kept in memory.
bool fits_quotas(std::uint64_t groups, std::uint32_t shards);

}  // namespace dl::data
