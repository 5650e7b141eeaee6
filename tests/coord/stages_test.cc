// SPDX-License-Identifier: MIT
#include "coord/stages.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "base/rng.h"

using namespace dl;
using namespace dl::coord;

namespace {

double seconds_of(std::span<const LayerCost> layers, const std::vector<std::uint32_t>& split,
                  std::span<const std::uint32_t> threads, std::uint32_t micro_batches) {
  double slowest = 0, sum = 0;
  std::size_t at = 0;
  for (std::size_t k = 0; k < split.size(); ++k) {
    double flops = 0;
    for (std::uint32_t i = 0; i < split[k]; ++i) flops += layers[at++].flops;
    const double work = flops / (kFlopsOfThread * threads[k]) / micro_batches;
    const double border = k + 1 == split.size() ? 0 : layers[at - 1].border_bytes / kBytesOfLink / micro_batches;
    slowest = std::max({slowest, work, border});
    sum += work + border;
  }
  return (micro_batches - 1) * slowest + sum;
}

// Every split of `left` layers over the stages that are left.
void all_splits(std::size_t stages, std::uint32_t left, std::vector<std::uint32_t>& split, const auto& visit) {
  if (stages == 1) {
    split.push_back(left);
    visit(split);
    split.pop_back();
    return;
  }
  for (std::uint32_t count = 1; count + stages - 1 <= left; ++count) {
    split.push_back(count);
    all_splits(stages - 1, left - count, split, visit);
    split.pop_back();
  }
}

}  // namespace

TEST_CASE("stages: no other split of the layers is predicted to be faster") {
  Rng rng(1, Purpose::test);
  for (int round = 0; round < 300; ++round) {
    std::vector<LayerCost> layers(1 + rng.below(8));
    for (LayerCost& layer : layers) {
      layer = {1e9 * static_cast<double>(1 + rng.below(50)), 1e5 * static_cast<double>(rng.below(80))};
    }
    std::vector<std::uint32_t> threads(1 + rng.below(layers.size()));
    for (std::uint32_t& count : threads) count = static_cast<std::uint32_t>(1 + rng.below(4));
    const auto micro_batches = static_cast<std::uint32_t>(1 + rng.below(16));
    double best = 1e30;
    std::vector<std::uint32_t> work;
    all_splits(threads.size(), static_cast<std::uint32_t>(layers.size()), work, [&](const auto& split) {
      best = std::min(best, seconds_of(layers, split, threads, micro_batches));
    });
    const Split found = split_layers(layers, threads, micro_batches);
    CHECK(found.layers.size() == threads.size());
    CHECK(std::accumulate(found.layers.begin(), found.layers.end(), 0U) == layers.size());
    CHECK(found.seconds == doctest::Approx(best).epsilon(1e-9));
    CHECK(seconds_of(layers, found.layers, threads, micro_batches) == doctest::Approx(best).epsilon(1e-9));
  }
}
