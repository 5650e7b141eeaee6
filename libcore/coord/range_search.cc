// SPDX-License-Identifier: MIT
#include "coord/range_search.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace dl::coord {

namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

// maximal_subtrees(shards, begin .. end-1).size(), without a list of them.
std::uint32_t parts_in(ShardRange tree, std::uint32_t begin, std::uint32_t end) {
  if (end <= tree.begin || tree.end <= begin) return 0;
  if (begin <= tree.begin && tree.end <= end) return 1;
  const std::uint32_t split = tree_split(tree);
  return parts_in({tree.begin, split}, begin, end) + parts_in({split, tree.end}, begin, end);
}

}  // namespace

RangeSearch::RangeSearch(std::span<const ShardRange> units, std::span<const std::uint64_t> samples,
                         std::span<const double> speeds, double fixed)
    : units_(static_cast<std::uint32_t>(units.size())),
      least_(units.size() >= speeds.size() ? 1 : 0),
      speeds_(speeds),
      fixed_(fixed),
      before_(units_ + 1) {
  std::partial_sum(samples.begin(), samples.end(), before_.begin() + 1);
  parts_.resize(std::size_t{units_ + 1} * (units_ + 1));
  for (std::uint32_t i = 0; i < units_; ++i) {
    for (std::uint32_t j = i + 1; j <= units_; ++j) {
      parts_[at(i, j)] = parts_in({0, units.back().end}, units[i].begin, units[j - 1].end);
    }
  }
}

double RangeSearch::best_pace(std::span<const std::uint32_t> order) const {
  std::vector<double> best(units_ + 1, kNever);
  best[0] = 0;
  for (const std::uint32_t rank : order) {
    std::vector<double> next(units_ + 1, kNever);
    for (std::uint32_t j = 0; j <= units_; ++j) {
      for (std::uint32_t i = 0; i + least_ <= j; ++i) {
        next[j] = std::min(next[j], std::max(best[i], pace(rank, i, j)));
      }
    }
    best = std::move(next);
  }
  return best[units_];
}

RangeSearch::Cuts RangeSearch::fewest_parts(std::span<const std::uint32_t> order, double limit) const {
  struct Best {
    std::uint32_t parts = std::numeric_limits<std::uint32_t>::max();
    double pace = kNever;
    std::uint32_t from = 0;
  };
  const std::size_t width = units_ + 1;
  std::vector<Best> best((order.size() + 1) * width);
  best[0] = {0, 0, 0};
  for (std::size_t r = 0; r < order.size(); ++r) {
    for (std::uint32_t j = 0; j <= units_; ++j) {
      Best& found = best[(r + 1) * width + j];
      for (std::uint32_t i = 0; i + least_ <= j; ++i) {
        const Best& left = best[r * width + i];
        const double here = pace(order[r], i, j);
        if (left.pace == kNever || here > limit) continue;
        const Best with{left.parts + parts_[at(i, j)], std::max(left.pace, here), i};
        if (with.parts < found.parts || (with.parts == found.parts && with.pace < found.pace)) found = with;
      }
    }
  }
  const Best& whole = best[order.size() * width + units_];
  Cuts cuts{whole.parts, whole.pace, std::vector<std::uint32_t>(order.size())};
  std::uint32_t end = units_;
  for (std::size_t r = order.size(); r-- > 0;) {
    cuts.ends[r] = end;
    end = best[(r + 1) * width + end].from;
  }
  return cuts;
}

}  // namespace dl::coord
