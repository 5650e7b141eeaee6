// SPDX-License-Identifier: MIT
#include "strategy.h"

#include <cmath>

#include "base/error.h"

namespace dl {

namespace {

std::vector<double> weights_of(const std::string& text) {
  std::vector<double> weights;
  double sum = 0;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string one = text.substr(begin, end - begin);
    const auto weight = data::parse_number(one);
    if (!weight || !(*weight >= 0)) {
      fail(Exit::usage, "--weights: {} is not a number from 0; say one for each shard, as in 4,1,1",
           shown(one));
    }
    weights.push_back(std::abs(*weight));  // -0 is 0
    sum += *weight;
    begin = end + 1;
  }
  if (!(sum > 0)) fail(Exit::usage, "--weights: {} is 0 for each shard; one must be above 0", shown(text));
  if (weights.size() > data::kMostShards) {
    fail(Exit::usage, "--weights: {} numbers, but at most {} shards are possible", weights.size(),
         data::kMostShards);
  }
  return weights;
}

}  // namespace

void read_strategy(const cli::Given& given, data::ShardOptions& options) {
  options.shards = static_cast<std::uint32_t>(given.count("shards", 1, data::kMostShards));
  options.by = data::by_of(given.choice("by", data::by_names()));
  options.seed = given.count("seed", 0, UINT64_MAX);
  static constexpr std::pair<const char*, data::By> kTold[] = {{"weights", data::By::weighted},
                                                               {"alpha", data::By::dirichlet},
                                                               {"key", data::By::hash}};
  for (const auto& [option, by] : kTold) {
    if (given.has(option) && options.by != by) {
      fail(Exit::usage, "--{} is for --by {} only (here: {})", option, name_of(by),
           name_of(options.by));
    }
  }
  if (options.by == data::By::weighted) {
    if (!given.has("weights")) {
      fail(Exit::usage, "--by weighted wants --weights, one number for each shard, as in 4,1,1");
    }
    options.weights = weights_of(given.text("weights"));
    if (given.has("shards") && options.weights.size() != options.shards) {
      fail(Exit::usage, "--weights {}: {} numbers for {} shards (-n); say one for each",
           shown(given.text("weights")), options.weights.size(), options.shards);
    }
    options.shards = static_cast<std::uint32_t>(options.weights.size());
  }
  options.key_rows = given.text("key") == "*";
  if (!options.key_rows) options.input.columns.key = given.text("key");
  if (options.by == data::By::dirichlet) options.alpha = given.positive("alpha", 1e6);
}

}  // namespace dl
