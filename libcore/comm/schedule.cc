// SPDX-License-Identifier: MIT
#include "comm/schedule.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/error.h"

namespace dl::comm {

namespace {

using Where = Schedule::Where;

constexpr std::uint32_t kMostPartsOfRank = 4;  // on average

std::uint32_t log2_of(std::uint32_t power) { return static_cast<std::uint32_t>(std::countr_zero(power)); }

std::vector<std::uint32_t> rank_of_part(const Parts& parts) {
  std::vector<std::uint32_t> out(parts.count());
  for (std::uint32_t rank = 0; rank < parts.ranks(); ++rank) {
    for (const std::uint32_t part : parts.of_rank(rank)) out[part] = rank;
  }
  return out;
}

// One that grows: values and slots get their numbers as they are asked for.
class Draft {
 public:
  std::uint32_t value(Where where, std::uint32_t index) {
    out.values.push_back({where, index});
    return static_cast<std::uint32_t>(out.values.size() - 1);
  }
  std::uint32_t slot(bool twice) {
    out.twice.push_back(twice);
    return value(Where::slot, static_cast<std::uint32_t>(out.twice.size() - 1));
  }
  std::uint32_t result() { return value(Where::result, 0); }
  // In the place of another one.
  std::uint32_t instead(std::uint32_t of) { return value(out.values[of].where, out.values[of].index); }

  Schedule out;
};

// The canonical tree whose leaves are parts. A value's name is what all ranks call it: a part's is its number, that of
// the sum over a split is the number of the first part right of it, after those of the parts.
//
// That part's rank makes the sum. So the inner nodes are dealt evenly where each rank has one part, the right operand is
// here already where it is a part, and the bits do not depend on it.
struct Inner {
  std::uint32_t rank = 0, left = 0, right = 0, name = 0;
};
struct Tree {
  Tree(std::uint32_t shards, const Parts& parts) : count(parts.count()), rank_of(rank_of_part(parts)) {
    std::vector<std::uint32_t> now(count);  // name of what lies at a part
    for (std::uint32_t i = 0; i < count; ++i) now[i] = i;
    for (const Addition& addition : tree_additions(shards, parts.ranges())) {
      inner.push_back({rank_of[addition.right], now[addition.left], now[addition.right], count + addition.right});
      now[addition.left] = inner.back().name;
    }
    root = now[0];
  }
  std::uint32_t maker(std::uint32_t name) const { return rank_of[name < count ? name : name - count]; }
  std::uint32_t total_tag() const { return 2 * count; }
  std::uint32_t ready_tag() const { return 2 * count + 1; }

  std::uint32_t count;
  std::vector<std::uint32_t> rank_of;  // by part
  std::vector<Inner> inner;            // operands before what is made of them
  std::uint32_t root = 0;
};

}  // namespace

bool doubling_fits(std::uint32_t shards, const Parts& parts) {
  const std::uint32_t ranks = parts.ranks();
  if (!std::has_single_bit(ranks) || ranks < 2) return false;
  for (std::uint32_t r = 0; r < ranks; ++r) {
    if (parts.count(r) != 1) return false;
  }
  // A binary tree with 2^d leaves that is d high has all leaves at that depth.
  std::vector<std::uint32_t> height(ranks);
  for (const Addition& a : tree_additions(shards, parts.ranges())) {
    height[a.left] = std::max(height[a.left], height[a.right]) + 1;
  }
  return height[0] == log2_of(ranks);
}

bool tree_fits(const Parts& parts) {
  return parts.count() > 0 && parts.ranks() > 1 && parts.count() <= kMostPartsOfRank * parts.ranks();
}

std::uint32_t doubling_tags(const Parts& parts) { return log2_of(parts.ranks()); }
std::uint32_t tree_tags(const Parts& parts) { return 2 * parts.count() + 2; }

Schedule doubling_schedule(std::uint32_t shards, const Parts& parts, std::uint32_t rank) {
  if (!doubling_fits(shards, parts)) fail(Exit::bug, "these parts cannot be added by doubling");
  const std::uint32_t rounds = log2_of(parts.ranks());
  const std::vector<std::uint32_t> rank_of = rank_of_part(parts);
  const std::uint32_t place = parts.of_rank(rank)[0];
  Draft draft;
  std::uint32_t mine = draft.value(Where::part, 0);
  for (std::uint32_t l = 0; l < rounds; ++l) {
    const bool last = l + 1 == rounds;
    const std::uint32_t partner = rank_of[place ^ (1U << l)];
    const std::uint32_t other = draft.slot(!last);
    draft.out.receives.push_back({partner, l, other});
    draft.out.sends.push_back({mine, partner, l});
    const std::uint32_t sum = last ? draft.result() : draft.instead(other);
    const bool left = (place & (1U << l)) == 0;
    draft.out.sums.push_back({left ? mine : other, left ? other : mine, sum});
    mine = sum;
  }
  draft.out.total = mine;
  return draft.out;
}

Schedule tree_schedule(std::uint32_t shards, const Parts& parts, std::uint32_t rank) {
  if (!tree_fits(parts)) fail(Exit::bug, "these parts cannot be added by a tree of ranks");
  const Tree tree(shards, parts);
  const std::uint32_t ranks = parts.ranks();
  Draft draft;
  std::vector<std::uint32_t> here(2 * tree.count, kNoValue);  // by name
  const std::span<const std::uint32_t> own = parts.of_rank(rank);
  for (std::uint32_t i = 0; i < own.size(); ++i) here[own[i]] = draft.value(Where::part, i);
  for (const Inner& inner : tree.inner) {
    const std::uint32_t operands[] = {inner.left, inner.right};
    if (inner.rank != rank) {
      for (const std::uint32_t name : operands) {
        if (tree.maker(name) == rank) draft.out.sends.push_back({here[name], inner.rank, name});
      }
      continue;
    }
    std::uint32_t free = kNoValue;  // whose place is that of the sum
    for (const std::uint32_t name : operands) {
      if (tree.maker(name) != rank) {
        here[name] = draft.slot(false);
        draft.out.receives.push_back({tree.maker(name), name, here[name]});
      }
      if (draft.out.values[here[name]].where == Where::slot) free = here[name];
    }
    const std::uint32_t sum = inner.name == tree.root ? draft.result()
                              : free != kNoValue      ? draft.instead(free)
                                                      : draft.slot(false);
    draft.out.sums.push_back({here[inner.left], here[inner.right], sum});
    here[inner.name] = sum;
  }

  // Down: a heap of ranks, from the one that has the total.
  const std::uint32_t top = tree.maker(tree.root);
  const std::uint32_t position = (rank + ranks - top) % ranks;
  const auto at = [&](std::uint32_t p) { return (top + p) % ranks; };
  if (rank != top) {
    const std::uint32_t parent = at((position - 1) / 2);
    draft.out.total = draft.result();
    draft.out.receives.push_back({parent, tree.total_tag(), draft.out.total});
    if (own.empty()) draft.out.sends.push_back({draft.value(Where::ready, 0), parent, tree.ready_tag()});
  } else if (tree.count == 1) {
    draft.out.total = draft.result();
    draft.out.sums.push_back({here[tree.root], kNoValue, draft.out.total});
  } else {
    draft.out.total = here[tree.root];
  }
  for (std::uint32_t p = 2 * position + 1; p <= 2 * position + 2 && p < ranks; ++p) {
    Schedule::Send down{draft.out.total, at(p), tree.total_tag()};
    if (parts.count(at(p)) == 0) {
      down.after = draft.value(Where::ready, 0);
      draft.out.receives.push_back({at(p), tree.ready_tag(), down.after});
    }
    draft.out.sends.push_back(down);
  }
  return draft.out;
}

TreeTraffic tree_traffic(std::uint32_t shards, const Parts& parts) {
  const Tree tree(shards, parts);
  std::vector<std::uint32_t> hops(2 * tree.count);  // by name: until it is made
  std::vector<std::uint32_t> in(parts.ranks()), out(parts.ranks());
  for (const Inner& inner : tree.inner) {
    for (const std::uint32_t name : {inner.left, inner.right}) {
      const bool travels = tree.maker(name) != inner.rank;
      hops[inner.name] = std::max(hops[inner.name], hops[name] + (travels ? 1 : 0));
      if (!travels) continue;
      ++in[inner.rank];
      ++out[tree.maker(name)];
    }
  }
  std::uint32_t down = 0;  // of the rank that is lowest in the heap
  for (std::uint32_t p = parts.ranks() - 1; p > 0; p = (p - 1) / 2) ++down;
  TreeTraffic traffic{hops[tree.root] + down, 0};
  const std::uint32_t top = tree.maker(tree.root);
  for (std::uint32_t rank = 0; rank < parts.ranks(); ++rank) {
    const std::uint32_t p = (rank + parts.ranks() - top) % parts.ranks();
    if (p > 0) ++in[rank];
    for (std::uint32_t child = 2 * p + 1; child <= 2 * p + 2 && child < parts.ranks(); ++child) ++out[rank];
    traffic.vectors = std::max({traffic.vectors, in[rank], out[rank]});
  }
  return traffic;
}

}  // namespace dl::comm
