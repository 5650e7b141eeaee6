// SPDX-License-Identifier: MIT
#include "base/tree.h"

#include <doctest/doctest.h>

#include <algorithm>

#include <string>

#include "base/rng.h"

using namespace dl;

namespace {

std::string shape(ShardRange range) {
  if (range.size() == 1) return std::to_string(range.begin);
  const std::uint32_t middle = tree_split(range);
  return "(" + shape({range.begin, middle}) + "+" + shape({middle, range.end}) + ")";
}

// Adds the parts' own trees as texts, so that order and bracketing show.
std::string added(std::uint32_t shards, const std::vector<ShardRange>& parts) {
  std::vector<std::string> texts;
  for (const ShardRange& part : parts) texts.push_back(shape(part));
  for (const Addition& a : tree_additions(shards, parts)) {
    texts[a.left] = "(" + texts[a.left] + "+" + texts[a.right] + ")";
  }
  return texts[0];
}

}  // namespace

TEST_CASE("tree: the left subtree is the largest power of two below the size") {
  CHECK(shape({0, 1}) == "0");
  CHECK(shape({0, 2}) == "(0+1)");
  CHECK(shape({0, 3}) == "((0+1)+2)");
  CHECK(shape({0, 6}) == "(((0+1)+(2+3))+(4+5))");
  CHECK(shape({0, 7}) == "(((0+1)+(2+3))+((4+5)+6))");
}

TEST_CASE("tree: a node's shards become its maximal complete subtrees") {
  const std::vector<std::uint32_t> all = {0, 1, 2, 3, 4, 5, 6, 7};
  CHECK(maximal_subtrees(8, all) == std::vector<ShardRange>{{0, 8}});
  const std::vector<std::uint32_t> ragged = {2, 4, 5, 7};
  CHECK(maximal_subtrees(8, ragged) == std::vector<ShardRange>{{2, 3}, {4, 6}, {7, 8}});
  CHECK(maximal_subtrees(8, {}).empty());
  const std::vector<std::uint32_t> tail = {4, 5, 6};
  CHECK(maximal_subtrees(7, tail) == std::vector<ShardRange>{{4, 7}});
}

TEST_CASE("tree: any map of shards to nodes adds up in the same tree") {
  for (std::uint32_t shards = 1; shards <= 20; ++shards) {
    for (std::uint32_t nodes = 1; nodes <= 5; ++nodes) {
      Rng rng(shards, Purpose::test, nodes);
      std::vector<std::vector<std::uint32_t>> held(nodes);
      for (std::uint32_t s = 0; s < shards; ++s) held[rng.below(nodes)].push_back(s);
      std::vector<ShardRange> parts;
      for (const auto& h : held) {
        for (const ShardRange& part : maximal_subtrees(shards, h)) parts.push_back(part);
      }
      std::sort(parts.begin(), parts.end(),
                [](const ShardRange& a, const ShardRange& b) { return a.begin < b.begin; });
      CHECK(added(shards, parts) == shape({0, shards}));
    }
  }
}

TEST_CASE("tree: doubles are added in the tree") {
  CHECK(tree_sum({}) == 0.0);
  const std::vector<double> values = {1e16, 1.0, -1e16, 1.0, 0.5};
  CHECK(tree_sum(values) == ((1e16 + 1.0) + (-1e16 + 1.0)) + 0.5);
}
