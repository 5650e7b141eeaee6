// SPDX-License-Identifier: MIT
#include "coord/assignment.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/rng.h"
#include "base/tree.h"

namespace dl::coord {

namespace {

using Owner = std::vector<std::uint32_t>;

constexpr std::uint32_t kMostSearched = 64;     // shards (and ranks) for which every cut is tried
constexpr std::uint32_t kMostPermuted = 4;      // ranks for which every order is tried
constexpr double kSlack = 1.05;                 // pace that fewer parts may cost
constexpr double kGreedyGain = 0.9;             // pace at which raggedness pays

// The contiguous maps of ranks in one order, searched by dynamic programming over the cuts.
class RangeSearch {
 public:
  RangeSearch(std::span<const std::uint64_t> samples, std::span<const std::uint32_t> threads)
      : shards_(static_cast<std::uint32_t>(samples.size())),
        least_(samples.size() >= threads.size() ? 1 : 0),
        threads_(threads),
        before_(shards_ + 1) {
    std::partial_sum(samples.begin(), samples.end(), before_.begin() + 1);
    parts_.resize(std::size_t{shards_ + 1} * (shards_ + 1));
    std::vector<std::uint32_t> held(shards_);
    std::iota(held.begin(), held.end(), 0U);
    for (std::uint32_t i = 0; i < shards_; ++i) {
      for (std::uint32_t j = i + 1; j <= shards_; ++j) {
        const auto range = std::span(held).subspan(i, j - i);
        parts_[at(i, j)] = static_cast<std::uint32_t>(maximal_subtrees(shards_, range).size());
      }
    }
  }

  double best_pace(std::span<const std::uint32_t> order) const {
    std::vector<double> best(shards_ + 1, kNever);
    best[0] = 0;
    for (const std::uint32_t rank : order) {
      std::vector<double> next(shards_ + 1, kNever);
      for (std::uint32_t j = 0; j <= shards_; ++j) {
        for (std::uint32_t i = 0; i + least_ <= j; ++i) {
          next[j] = std::min(next[j], std::max(best[i], pace(rank, i, j)));
        }
      }
      best = std::move(next);
    }
    return best[shards_];
  }

  struct Cuts {
    std::uint32_t parts = std::numeric_limits<std::uint32_t>::max();
    double pace = kNever;
    std::vector<std::uint32_t> ends;  // of each rank in the order
    bool better_than(const Cuts& other) const {
      return parts != other.parts ? parts < other.parts : pace < other.pace;
    }
  };

  // The fewest parts at a pace of at most `limit`; among those the best pace.
  Cuts fewest_parts(std::span<const std::uint32_t> order, double limit) const {
    std::vector<std::vector<Cuts>> best(order.size() + 1, std::vector<Cuts>(shards_ + 1));
    std::vector<std::vector<std::uint32_t>> from(order.size(), std::vector<std::uint32_t>(shards_ + 1));
    best[0][0] = {0, 0, {}};
    for (std::size_t r = 0; r < order.size(); ++r) {
      for (std::uint32_t j = 0; j <= shards_; ++j) {
        for (std::uint32_t i = 0; i + least_ <= j; ++i) {
          const double here = pace(order[r], i, j);
          if (best[r][i].pace == kNever || here > limit) continue;
          const Cuts cuts{best[r][i].parts + parts_[at(i, j)], std::max(best[r][i].pace, here), {}};
          if (!cuts.better_than(best[r + 1][j])) continue;
          best[r + 1][j] = cuts;
          from[r][j] = i;
        }
      }
    }
    Cuts found = best[order.size()][shards_];
    found.ends.resize(order.size());
    std::uint32_t end = shards_;
    for (std::size_t r = order.size(); r-- > 0; end = from[r][end]) found.ends[r] = end;
    return found;
  }

 private:
  static constexpr double kNever = std::numeric_limits<double>::infinity();

  std::size_t at(std::uint32_t i, std::uint32_t j) const { return std::size_t{i} * (shards_ + 1) + j; }
  double pace(std::uint32_t rank, std::uint32_t i, std::uint32_t j) const {
    return static_cast<double>(before_[j] - before_[i]) / threads_[rank];
  }

  std::uint32_t shards_;
  std::uint32_t least_;  // shards of a rank
  std::span<const std::uint32_t> threads_;
  std::vector<std::uint64_t> before_;
  std::vector<std::uint32_t> parts_;
};

// Ranks with more threads first: their larger ranges then begin at rounder numbers.
std::vector<std::uint32_t> by_threads(std::span<const std::uint32_t> threads) {
  std::vector<std::uint32_t> order(threads.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return threads[a] > threads[b]; });
  return order;
}

Owner owner_of(std::span<const std::uint32_t> order, std::span<const std::uint32_t> ends) {
  Owner owner;
  for (std::size_t r = 0; r < order.size(); ++r) owner.resize(ends[r], order[r]);
  return owner;
}

Owner searched(std::span<const std::uint64_t> samples, std::span<const std::uint32_t> threads) {
  const RangeSearch search(samples, threads);
  std::vector<std::uint32_t> order(threads.size());
  std::iota(order.begin(), order.end(), 0U);
  std::vector<std::vector<std::uint32_t>> orders;
  if (order.size() <= kMostPermuted) {
    do {
      orders.push_back(order);
    } while (std::next_permutation(order.begin(), order.end()));
  } else {
    orders = {order, by_threads(threads)};
  }
  double pace = std::numeric_limits<double>::infinity();
  for (const auto& o : orders) pace = std::min(pace, search.best_pace(o));
  RangeSearch::Cuts best;
  const std::vector<std::uint32_t>* best_order = nullptr;
  for (const auto& o : orders) {
    RangeSearch::Cuts cuts = search.fewest_parts(o, pace * kSlack);
    if (best_order != nullptr && !cuts.better_than(best)) continue;
    best = std::move(cuts);
    best_order = &o;
  }
  return owner_of(*best_order, best.ends);
}

// For many shards: cuts where the samples before them are proportional to the threads before them,
// moved to a multiple of a power of two that is small against a rank's range.
Owner proportional(std::span<const std::uint64_t> samples, std::span<const std::uint32_t> threads) {
  const auto shards = static_cast<std::uint32_t>(samples.size());
  const auto ranks = static_cast<std::uint32_t>(threads.size());
  const std::uint32_t grain = std::bit_floor(std::max(1U, shards / (16 * ranks)));
  const double all_samples =
      static_cast<double>(std::accumulate(samples.begin(), samples.end(), std::uint64_t{0}));
  const double all_threads =
      static_cast<double>(std::accumulate(threads.begin(), threads.end(), std::uint64_t{0}));
  std::vector<std::uint32_t> order(ranks), ends(ranks);
  std::iota(order.begin(), order.end(), 0U);
  std::uint32_t cut = 0;
  double passed = 0, threads_passed = 0;
  for (std::uint32_t r = 0; r < ranks; ++r) {
    threads_passed += threads[r];
    const double wanted = all_samples * threads_passed / all_threads;
    // The ranks behind this one get a shard each, too.
    const std::uint32_t last = shards - std::min(shards, ranks - 1 - r);
    while (cut < last) {
      const std::uint32_t next = std::min(last, cut + grain);
      double block = 0;
      for (std::uint32_t s = cut; s < next; ++s) block += static_cast<double>(samples[s]);
      const bool empty = cut == (r == 0 ? 0 : ends[r - 1]);
      if (!empty && passed + block / 2 > wanted) break;
      passed += block;
      cut = next;
    }
    ends[r] = r + 1 == ranks ? shards : cut;
  }
  return owner_of(order, ends);
}

Owner greedy(std::span<const std::uint64_t> samples, std::span<const std::uint32_t> threads) {
  std::vector<std::uint32_t> largest_first(samples.size());
  std::iota(largest_first.begin(), largest_first.end(), 0U);
  std::stable_sort(largest_first.begin(), largest_first.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return samples[a] > samples[b]; });
  std::vector<std::uint64_t> load(threads.size());
  Owner owner(samples.size());
  for (const std::uint32_t shard : largest_first) {
    std::uint32_t best = 0;
    double soonest = std::numeric_limits<double>::infinity();
    for (std::uint32_t r = 0; r < threads.size(); ++r) {
      const double end = static_cast<double>(load[r] + samples[shard]) / threads[r];
      if (end < soonest) {
        soonest = end;
        best = r;
      }
    }
    owner[shard] = best;
    load[best] += samples[shard];
  }
  return owner;
}

}  // namespace

Assignment parse_assignment(std::string_view name) {
  if (name == "random") return Assignment::random;
  if (name == "round-robin") return Assignment::round_robin;
  if (name == "balanced") return Assignment::balanced;
  fail(Exit::usage, "--assign: {} is not one of random, round-robin, balanced", shown(name));
}

std::string_view name_of(Assignment assignment) {
  switch (assignment) {
    case Assignment::random: return "random";
    case Assignment::round_robin: return "round-robin";
    case Assignment::balanced: break;
  }
  return "balanced";
}

std::vector<std::uint32_t> assign(Assignment assignment, std::span<const std::uint64_t> samples,
                                  std::span<const std::uint32_t> threads, std::uint64_t seed,
                                  std::uint32_t generation) {
  if (threads.empty()) fail(Exit::bug, "shards are to be assigned to no rank");
  if (assignment == Assignment::random) {
    Owner owner(samples.size());
    const auto order = permutation(static_cast<std::uint32_t>(owner.size()), Rng(seed, Purpose::assignment, generation));
    for (std::size_t i = 0; i < order.size(); ++i) owner[order[i]] = static_cast<std::uint32_t>(i % threads.size());
    return owner;
  }
  if (assignment == Assignment::round_robin) {
    Owner owner(samples.size());
    for (std::size_t s = 0; s < owner.size(); ++s) {
      owner[s] = static_cast<std::uint32_t>(s % threads.size());
    }
    return owner;
  }
  std::vector<std::uint32_t> counted(threads.begin(), threads.end());
  for (std::uint32_t& t : counted) t = std::max(t, 1U);
  Owner ranges = samples.size() <= kMostSearched && threads.size() <= kMostSearched
                     ? searched(samples, counted)
                     : proportional(samples, counted);
  Owner ragged = greedy(samples, counted);
  std::vector<bool> busy(threads.size());
  for (const std::uint32_t rank : ragged) busy[rank] = true;
  const bool pays =
      std::find(busy.begin(), busy.end(), false) == busy.end() &&
      pace_of(ragged, samples, counted) < kGreedyGain * pace_of(ranges, samples, counted);
  return pays ? ragged : ranges;
}

std::uint64_t count_parts(std::span<const std::uint32_t> owner, std::uint32_t ranks) {
  std::vector<std::vector<std::uint32_t>> held(ranks);
  for (std::uint32_t s = 0; s < owner.size(); ++s) held[owner[s]].push_back(s);
  std::uint64_t parts = 0;
  for (const auto& shards : held) {
    parts += maximal_subtrees(static_cast<std::uint32_t>(owner.size()), shards).size();
  }
  return parts;
}

double pace_of(std::span<const std::uint32_t> owner, std::span<const std::uint64_t> samples,
               std::span<const std::uint32_t> threads) {
  std::vector<std::uint64_t> load(threads.size());
  for (std::size_t s = 0; s < owner.size(); ++s) load[owner[s]] += samples[s];
  double slowest = 0;
  for (std::size_t r = 0; r < load.size(); ++r) {
    slowest = std::max(slowest, static_cast<double>(load[r]) / std::max(threads[r], 1U));
  }
  return slowest;
}

}  // namespace dl::coord
