// SPDX-License-Identifier: MIT
// The canonical tree over shard numbers, in which everything that shards contribute is added.
//
// A tree over [begin, end) with n > 1 leaves has as its left subtree the first p leaves, p the largest
// power of two below n, and as its right subtree the rest. The tree depends on the number of shards
// alone, so a sum taken in it does not depend on who holds which shard. A shard without rows in a
// step contributes +0.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dl {

// Shards [begin, end).
struct ShardRange {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  std::uint32_t size() const { return end - begin; }
  bool operator==(const ShardRange&) const = default;
};

// Where the tree over [begin, end) splits; its size must be at least 2.
std::uint32_t tree_split(ShardRange range);

// The maximal complete subtrees of the tree over `shards` leaves whose leaves are all in `held`
// (ascending, unique), in order. What a node pre-adds and sends: one part each.
std::vector<ShardRange> maximal_subtrees(std::uint32_t shards, std::span<const std::uint32_t> held);

// How to add parts (disjoint subtrees, ascending, together the whole tree) to the total:
// a sequence of a[left] += a[right] over the parts' indices that ends in a[0].
struct Addition {
  std::uint32_t left = 0;
  std::uint32_t right = 0;
  bool operator==(const Addition&) const = default;
};
std::vector<Addition> tree_additions(std::uint32_t shards, std::span<const ShardRange> parts);

// The sum of one double per shard, in the tree; 0 where there is none.
double tree_sum(std::span<const double> values);

}  // namespace dl
