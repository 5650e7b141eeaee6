// SPDX-License-Identifier: MIT
#include "coord/stages.h"

#include <algorithm>

#include "base/error.h"

namespace dl::coord {

namespace {

// The layers below some border, split into some stages.
struct Partial {
  double slowest = 0;  // seconds for one micro-batch
  double sum = 0;
  std::vector<std::uint32_t> layers;
};

// Keeps what may still win: nothing else is better in both. Of equals the first one stays.
void keep_best(std::vector<Partial>& all) {
  std::ranges::stable_sort(all, [](const Partial& a, const Partial& b) {
    return a.slowest < b.slowest || (a.slowest == b.slowest && a.sum < b.sum);
  });
  std::vector<Partial> kept;
  for (Partial& partial : all) {
    if (kept.empty() || partial.sum < kept.back().sum) kept.push_back(std::move(partial));
  }
  all = std::move(kept);
}

}  // namespace

Split split_layers(std::span<const LayerCost> layers, std::span<const std::uint32_t> threads,
                   std::uint32_t micro_batches) {
  const std::size_t stages = threads.size(), count = layers.size();
  if (stages == 0 || stages > count || micro_batches == 0) {
    fail(Exit::bug, "{} layers in {} stages, {} micro-batches", count, stages, micro_batches);
  }
  // best[l]: of the first l layers in the stages so far
  std::vector<std::vector<Partial>> best(count + 1);
  best[0] = {Partial{}};
  for (std::size_t k = 0; k < stages; ++k) {
    std::vector<std::vector<Partial>> next(count + 1);
    const std::size_t left = stages - k - 1;  // stages above, a layer for each at least
    for (std::size_t begin = k; begin < count - left; ++begin) {
      double flops = 0;
      for (std::size_t end = begin + 1; end <= count - left; ++end) {
        if (left == 0 && end < count) {
          flops += layers[end - 1].flops;
          continue;
        }
        flops += layers[end - 1].flops;
        const double work = flops / (kFlopsOfThread * threads[k]) / micro_batches;
        const double border = left == 0 ? 0 : layers[end - 1].border_bytes / kBytesOfLink / micro_batches;
        for (const Partial& below : best[begin]) {
          Partial& partial = next[end].emplace_back(below);
          partial.slowest = std::max({below.slowest, work, border});
          partial.sum = below.sum + work + border;
          partial.layers.push_back(static_cast<std::uint32_t>(end - begin));
        }
      }
    }
    for (std::vector<Partial>& all : next) keep_best(all);
    best = std::move(next);
  }
  Split split;
  for (Partial& partial : best[count]) {
    const double seconds = (micro_batches - 1) * partial.slowest + partial.sum;
    if (!split.layers.empty() && seconds >= split.seconds) continue;
    split = {std::move(partial.layers), seconds};
  }
  return split;
}

}  // namespace dl::coord
