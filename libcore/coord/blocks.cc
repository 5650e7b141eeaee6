// SPDX-License-Identifier: MIT
#include "coord/blocks.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/tree.h"
#include "coord/assignment.h"
#include "coord/stages.h"

namespace dl::coord {

namespace {

// The first blocks, dealt to the first ranks.
struct Partial {
  double slowest = 0;  // seconds of computing
  std::uint64_t parts = 0;
  std::vector<std::uint32_t> ends;  // of each rank's blocks
};

// Keeps what may still win: nothing else is better in both. Of equals the first one stays.
void offer(std::vector<Partial>& kept, const Partial& behind, double slowest, std::uint64_t parts, std::uint32_t end) {
  const auto as_good = [&](const Partial& p) { return p.slowest <= slowest && p.parts <= parts; };
  if (std::ranges::any_of(kept, as_good)) return;
  std::erase_if(kept, [&](const Partial& p) { return slowest <= p.slowest && parts <= p.parts; });
  Partial& partial = kept.emplace_back(behind);
  partial.slowest = slowest;
  partial.parts = parts;
  partial.ends.push_back(end);
}

// Maximal subtrees of the blocks [begin, end), as far as they lie in that subtree.
std::uint64_t parts_in(ShardRange tree, std::uint32_t begin, std::uint32_t end) {
  if (end <= tree.begin || tree.end <= begin) return 0;
  if (begin <= tree.begin && tree.end <= end) return 1;
  const std::uint32_t split = tree_split(tree);
  return parts_in({tree.begin, split}, begin, end) + parts_in({split, tree.end}, begin, end);
}

double sum_seconds(const BlockCosts& costs, std::uint64_t parts, std::size_t ranks) {
  return ranks > 1 ? static_cast<double>(parts) * costs.part_bytes / kBytesOfLink : 0;
}

}  // namespace

double predict_step(const BlockCosts& costs, std::span<const std::uint32_t> owner,
                    std::span<const double> flops_per_second) {
  std::vector<double> flops(flops_per_second.size(), costs.common_flops);
  for (std::size_t b = 0; b < owner.size(); ++b) flops[owner[b]] += costs.flops[b];
  double slowest = 0;
  for (std::size_t r = 0; r < flops.size(); ++r) slowest = std::max(slowest, flops[r] / flops_per_second[r]);
  const auto ranks = static_cast<std::uint32_t>(flops.size());
  return slowest + sum_seconds(costs, count_parts(owner, ranks), ranks);
}

BlockMap split_blocks(const BlockCosts& costs, std::span<const double> flops_per_second) {
  const auto blocks = static_cast<std::uint32_t>(costs.flops.size());
  const auto ranks = static_cast<std::uint32_t>(flops_per_second.size());
  if (ranks == 0 || ranks > blocks) fail(Exit::bug, "{} blocks for {} ranks", blocks, ranks);
  std::vector<double> before(blocks + 1, 0);  // flops of the blocks before
  std::partial_sum(costs.flops.begin(), costs.flops.end(), before.begin() + 1);
  // best[b]: of the first b blocks on the ranks so far
  std::vector<std::vector<Partial>> best(blocks + 1);
  best[0] = {Partial{}};
  for (std::uint32_t r = 0; r < ranks; ++r) {
    std::vector<std::vector<Partial>> next(blocks + 1);
    const std::uint32_t left = ranks - r - 1;  // ranks behind, a block for each at least
    for (std::uint32_t begin = r; begin < blocks - left; ++begin) {
      if (best[begin].empty()) continue;
      for (std::uint32_t end = left == 0 ? blocks : begin + 1; end <= blocks - left; ++end) {
        const double work = (costs.common_flops + before[end] - before[begin]) / flops_per_second[r];
        const std::uint64_t parts = parts_in({0, blocks}, begin, end);
        for (const Partial& behind : best[begin]) {
          offer(next[end], behind, std::max(behind.slowest, work), behind.parts + parts, end);
        }
      }
    }
    best = std::move(next);
  }
  const auto seconds = [&](const Partial& p) { return p.slowest + sum_seconds(costs, p.parts, ranks); };
  const Partial& winner = *std::ranges::min_element(best[blocks], {}, seconds);
  BlockMap map{{}, seconds(winner)};
  for (std::uint32_t r = 0; r < ranks; ++r) map.owner.resize(winner.ends[r], r);
  return map;
}

}  // namespace dl::coord
