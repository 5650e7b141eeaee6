// SPDX-License-Identifier: MIT
#include "coord/assignment.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/rng.h"
#include "coord/range_search.h"

namespace dl::coord {

namespace {

using Owner = std::vector<std::uint32_t>;

constexpr std::uint32_t kMostSearched = 64;     // units (and ranks) for which every cut is tried
constexpr std::uint32_t kMostPermuted = 4;      // ranks for which every order is tried
constexpr double kSlack = 1.05;                 // pace that fewer parts may cost
constexpr double kGreedyGain = 0.9;             // pace at which raggedness pays
constexpr double kReorderGain = 0.99;           // cost at which it pays that many shards move
constexpr double kAlike = 5.0 / 6;              // speeds that are taken for equal

// The tasks with each unit as one thing.
struct Units {
  std::vector<ShardRange> ranges;
  std::vector<std::uint64_t> samples;
  double fixed = 0;
  std::size_t size() const { return ranges.size(); }
};

Units units_of(const Tasks& tasks) {
  Units units;
  units.fixed = tasks.fixed;
  units.ranges.assign(tasks.units.begin(), tasks.units.end());
  const auto shards = static_cast<std::uint32_t>(tasks.samples.size());
  if (units.ranges.empty()) {
    for (std::uint32_t s = 0; s < shards; ++s) units.ranges.push_back({s, s + 1});
  }
  std::uint32_t next = 0;
  for (const ShardRange& unit : units.ranges) {
    if (unit.begin != next || unit.end <= unit.begin || unit.end > shards) {
      fail(Exit::bug, "units of shards do not follow each other at shard {}", next);
    }
    next = unit.end;
    std::uint64_t samples = 0;
    for (std::uint32_t s = unit.begin; s < unit.end; ++s) samples += tasks.samples[s];
    units.samples.push_back(samples);
  }
  if (next != shards) fail(Exit::bug, "units of shards end at {} of {}", next, shards);
  return units;
}

Owner of_shards(const Units& units, const Owner& unit_owner) {
  Owner owner;
  for (std::size_t u = 0; u < units.size(); ++u) owner.resize(units.ranges[u].end, unit_owner[u]);
  return owner;
}

std::vector<double> checked(std::span<const double> speeds) {
  if (speeds.empty()) fail(Exit::bug, "shards are to be assigned to no rank");
  std::vector<double> out(speeds.begin(), speeds.end());
  for (double& speed : out) {
    if (!(std::isfinite(speed) && speed > 0)) speed = 1;
  }
  return out;
}

Owner owner_of(std::span<const std::uint32_t> order, std::span<const std::uint32_t> ends) {
  Owner owner;
  for (std::size_t r = 0; r < order.size(); ++r) owner.resize(ends[r], order[r]);
  return owner;
}

// `first`, then what else is worth trying: all orders of few ranks; else that in which faster ranks come
// first, because their larger ranges then begin at rounder numbers.
std::vector<Owner> orders_of(const Owner& first, std::span<const double> speeds) {
  std::vector<Owner> orders = {first};
  Owner order(speeds.size());
  std::iota(order.begin(), order.end(), 0U);
  if (order.size() <= kMostPermuted) {
    do {
      if (order != first) orders.push_back(order);
    } while (std::next_permutation(order.begin(), order.end()));
  } else {
    std::stable_sort(order.begin(), order.end(),
                     [&](std::uint32_t a, std::uint32_t b) { return speeds[a] > speeds[b]; });
    orders.push_back(std::move(order));
  }
  return orders;
}

Owner searched(const Units& units, std::span<const double> speeds) {
  const RangeSearch search(units.ranges, units.samples, speeds, units.fixed);
  Owner first(speeds.size());
  std::iota(first.begin(), first.end(), 0U);
  const std::vector<Owner> orders = orders_of(first, speeds);
  std::vector<double> paces;
  for (const Owner& order : orders) paces.push_back(search.best_pace(order));
  const double limit = *std::min_element(paces.begin(), paces.end()) * kSlack;
  RangeSearch::Cuts best;
  const Owner* best_order = nullptr;
  for (std::size_t i = 0; i < orders.size(); ++i) {
    if (paces[i] > limit) continue;
    RangeSearch::Cuts cuts = search.fewest_parts(orders[i], limit);
    const bool better = best_order == nullptr || cuts.parts < best.parts ||
                        (cuts.parts == best.parts && cuts.pace < best.pace);
    if (!better) continue;
    best = std::move(cuts);
    best_order = &orders[i];
  }
  return owner_of(*best_order, best.ends);
}

// For many units: cuts where the samples before them are proportional to the speeds before them,
// moved to a multiple of a power of two that is small against a rank's range.
Owner proportional(const Units& units, std::span<const double> speeds) {
  const auto count = static_cast<std::uint32_t>(units.size());
  const auto ranks = static_cast<std::uint32_t>(speeds.size());
  const std::uint32_t grain = std::bit_floor(std::max(1U, count / (16 * ranks)));
  const double all_samples =
      static_cast<double>(std::accumulate(units.samples.begin(), units.samples.end(), std::uint64_t{0}));
  const double all_speeds = std::accumulate(speeds.begin(), speeds.end(), 0.0);
  std::vector<std::uint32_t> order(ranks), ends(ranks);
  std::iota(order.begin(), order.end(), 0U);
  std::uint32_t cut = 0;
  double passed = 0, speeds_passed = 0;
  for (std::uint32_t r = 0; r < ranks; ++r) {
    speeds_passed += speeds[r];
    const double wanted = all_samples * speeds_passed / all_speeds;
    // The ranks behind this one get a unit each, too.
    const std::uint32_t last = count - std::min(count, ranks - 1 - r);
    while (cut < last) {
      const std::uint32_t next = std::min(last, cut + grain);
      double block = 0;
      for (std::uint32_t u = cut; u < next; ++u) block += static_cast<double>(units.samples[u]);
      const bool empty = cut == (r == 0 ? 0 : ends[r - 1]);
      if (!empty && passed + block / 2 > wanted) break;
      passed += block;
      cut = next;
    }
    ends[r] = r + 1 == ranks ? count : cut;
  }
  return owner_of(order, ends);
}

Owner greedy(const Units& units, std::span<const double> speeds) {
  std::vector<std::uint32_t> largest_first(units.size());
  std::iota(largest_first.begin(), largest_first.end(), 0U);
  std::stable_sort(largest_first.begin(), largest_first.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return units.samples[a] > units.samples[b]; });
  std::vector<std::uint64_t> load(speeds.size());
  Owner owner(units.size());
  for (const std::uint32_t unit : largest_first) {
    std::uint32_t best = 0;
    double soonest = std::numeric_limits<double>::infinity();
    for (std::uint32_t r = 0; r < speeds.size(); ++r) {
      const double end = static_cast<double>(load[r] + units.samples[unit]) / speeds[r];
      if (end < soonest) {
        soonest = end;
        best = r;
      }
    }
    owner[unit] = best;
    load[best] += units.samples[unit];
  }
  return owner;
}

bool searchable(const Units& units, std::span<const double> speeds) {
  return units.size() <= kMostSearched && speeds.size() <= kMostSearched;
}

// Where raggedness pays, the greedy map; else the ranges. Both are of units, what comes out is of shards.
Owner better_of(const Owner& ranges, const Units& units, std::span<const double> speeds,
                double part_seconds) {
  const Owner ragged = greedy(units, speeds);
  std::vector<bool> busy(speeds.size());
  for (const std::uint32_t rank : ragged) busy[rank] = true;
  const auto cost = [&](const Owner& owner) {
    const double parts = part_seconds > 0
        ? static_cast<double>(count_parts(of_shards(units, owner), static_cast<std::uint32_t>(speeds.size())))
        : 0;
    return pace_of(owner, units.samples, speeds, units.fixed) + parts * part_seconds;
  };
  const bool pays = std::find(busy.begin(), busy.end(), false) == busy.end() &&
                    cost(ragged) < kGreedyGain * cost(ranges);
  return of_shards(units, pays ? ragged : ranges);
}

// Ranks by their first shard; those without one follow.
Owner present_order(std::span<const std::uint32_t> owner, std::size_t ranks) {
  Owner order;
  std::vector<bool> seen(ranks);
  const auto add = [&](std::uint32_t rank) {
    if (rank >= ranks || seen[rank]) return;
    seen[rank] = true;
    order.push_back(rank);
  };
  for (const std::uint32_t rank : owner) add(rank);
  for (std::uint32_t rank = 0; rank < ranks; ++rank) add(rank);
  return order;
}

}  // namespace

Assignment parse_assignment(std::string_view name) {
  if (name == "random") return Assignment::random;
  if (name == "round-robin") return Assignment::round_robin;
  if (name == "balanced") return Assignment::balanced;
  if (name == "adaptive") return Assignment::adaptive;
  fail(Exit::usage, "--assign: {} is not one of random, round-robin, balanced, adaptive", shown(name));
}

std::string_view name_of(Assignment assignment) {
  switch (assignment) {
    case Assignment::random: return "random";
    case Assignment::round_robin: return "round-robin";
    case Assignment::adaptive: return "adaptive";
    case Assignment::balanced: break;
  }
  return "balanced";
}

std::vector<std::uint32_t> assign(Assignment assignment, const Tasks& tasks, std::span<const double> speeds,
                                  std::uint64_t seed, std::uint32_t generation) {
  const std::vector<double> counted = checked(speeds);
  const Units units = units_of(tasks);
  if (assignment == Assignment::balanced || assignment == Assignment::adaptive) {
    const bool few = searchable(units, counted);
    return better_of(few ? searched(units, counted) : proportional(units, counted), units, counted, 0);
  }
  Owner owner(units.size());
  if (assignment == Assignment::random) {
    const auto order = permutation(static_cast<std::uint32_t>(owner.size()), Rng(seed, Purpose::assignment, generation));
    for (std::size_t i = 0; i < order.size(); ++i) owner[order[i]] = static_cast<std::uint32_t>(i % speeds.size());
  } else {
    for (std::size_t u = 0; u < owner.size(); ++u) owner[u] = static_cast<std::uint32_t>(u % speeds.size());
  }
  return of_shards(units, owner);
}

std::vector<std::uint32_t> reassign(const Tasks& tasks, std::span<const double> speeds,
                                    std::span<const std::uint32_t> owner, double part_seconds) {
  const std::vector<double> counted = checked(speeds);
  const Units units = units_of(tasks);
  if (!searchable(units, counted)) {
    return better_of(proportional(units, counted), units, counted, part_seconds);
  }
  const RangeSearch search(units.ranges, units.samples, counted, units.fixed);
  Owner best;
  double least = std::numeric_limits<double>::infinity();
  bool first = true;
  for (const Owner& order : orders_of(present_order(owner, speeds.size()), counted)) {
    const double pace = search.best_pace(order);
    for (const double slack : {1.0, 1.02, 1.05, 1.1, 1.2, 1.5}) {
      const RangeSearch::Cuts cuts = search.fewest_parts(order, pace * slack);
      const double cost = cuts.pace + cuts.parts * part_seconds;
      if (cost >= (first ? least : least * kReorderGain)) continue;
      least = cost;
      best = owner_of(order, cuts.ends);
    }
    first = false;
  }
  return better_of(best, units, counted, part_seconds);
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
               std::span<const double> speeds, double fixed) {
  std::vector<std::uint64_t> load(speeds.size());
  for (std::size_t s = 0; s < owner.size(); ++s) load[owner[s]] += samples[s];
  double slowest = 0;
  for (std::size_t r = 0; r < load.size(); ++r) {
    slowest = std::max(slowest, (static_cast<double>(load[r]) + fixed) / speeds[r]);
  }
  return slowest;
}

std::vector<double> evened(std::span<const double> speeds) {
  std::vector<std::size_t> fastest_first(speeds.size());
  std::iota(fastest_first.begin(), fastest_first.end(), std::size_t{0});
  std::stable_sort(fastest_first.begin(), fastest_first.end(),
                   [&](std::size_t a, std::size_t b) { return speeds[a] > speeds[b]; });
  std::vector<double> out(speeds.size());
  double head = 0;
  for (const std::size_t i : fastest_first) {
    if (speeds[i] < head * kAlike || head == 0) head = speeds[i];
    out[i] = head;
  }
  return out;
}

}  // namespace dl::coord
