// SPDX-License-Identifier: MIT
#include "base/tree.h"

#include <algorithm>
#include <bit>

#include "base/error.h"

namespace dl {

namespace {

bool holds_all(std::span<const std::uint32_t> held, ShardRange range) {
  const auto first = std::lower_bound(held.begin(), held.end(), range.begin);
  const auto last = std::lower_bound(first, held.end(), range.end);
  return last - first == static_cast<std::ptrdiff_t>(range.size());
}

void collect(ShardRange range, std::span<const std::uint32_t> held, std::vector<ShardRange>& out) {
  if (range.size() == 0) return;
  if (holds_all(held, range)) {
    out.push_back(range);
  } else if (range.size() > 1) {
    const std::uint32_t middle = tree_split(range);
    collect({range.begin, middle}, held, out);
    collect({middle, range.end}, held, out);
  }
}

// Returns the index of the part that holds the sum of `range`.
std::uint32_t add_up(ShardRange range, std::span<const ShardRange> parts,
                     std::vector<Addition>& out) {
  const auto at = std::lower_bound(
      parts.begin(), parts.end(), range.begin,
      [](const ShardRange& part, std::uint32_t begin) { return part.begin < begin; });
  if (at == parts.end() || at->begin != range.begin || at->end > range.end) {
    fail(Exit::bug, "the parts do not tile the tree at shard {}", range.begin);
  }
  if (*at == range) return static_cast<std::uint32_t>(at - parts.begin());
  const std::uint32_t middle = tree_split(range);
  const std::uint32_t left = add_up({range.begin, middle}, parts, out);
  const std::uint32_t right = add_up({middle, range.end}, parts, out);
  out.push_back({left, right});
  return left;
}

double sum(std::span<const double> values) {
  if (values.size() == 1) return values[0];
  const std::uint32_t middle = tree_split({0, static_cast<std::uint32_t>(values.size())});
  return sum(values.first(middle)) + sum(values.subspan(middle));
}

}  // namespace

std::uint32_t tree_split(ShardRange range) {
  return range.begin + std::bit_floor(range.size() - 1);
}

std::vector<ShardRange> maximal_subtrees(std::uint32_t shards,
                                         std::span<const std::uint32_t> held) {
  std::vector<ShardRange> out;
  collect({0, shards}, held, out);
  return out;
}

std::vector<Addition> tree_additions(std::uint32_t shards, std::span<const ShardRange> parts) {
  std::vector<Addition> out;
  if (shards > 0) add_up({0, shards}, parts, out);
  return out;
}

double tree_sum(std::span<const double> values) { return values.empty() ? 0.0 : sum(values); }

}  // namespace dl
