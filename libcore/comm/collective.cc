// SPDX-License-Identifier: MIT
#include "comm/collective.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>

#include "base/error.h"
#include "comm/schedule.h"

namespace dl::comm {

namespace {

constexpr Collective kAll[] = {Collective::direct, Collective::doubling, Collective::tree};
constexpr double kWorthIt = 0.9;

}  // namespace

std::string_view name_of(Collective collective) {
  switch (collective) {
    case Collective::direct: return "direct";
    case Collective::doubling: return "doubling";
    case Collective::tree: return "tree";
  }
  return "?";
}

std::optional<Collective> parse_collective(std::string_view name) {
  if (name == "auto") return std::nullopt;
  for (const Collective collective : kAll) {
    if (name == name_of(collective)) return collective;
  }
  fail(Exit::usage, "no collective {}; there are auto, direct, doubling and tree", shown(name));
}

bool possible(Collective collective, std::uint32_t shards,
              const std::vector<std::vector<ShardRange>>& parts_of_rank) {
  SumPlan plan;
  plan.shards = shards;
  plan.parts_of_rank = parts_of_rank;
  const Parts parts(plan);
  switch (collective) {
    case Collective::direct: return true;
    case Collective::doubling: return doubling_fits(shards, parts);
    case Collective::tree: return tree_fits(parts);
  }
  return false;
}

SumCost::SumCost(const SumPlan& plan, const Cut& cut) : ranks_(plan.ranks()), parts_(0), cut_(cut) {
  const Parts parts(plan);
  parts_ = parts.count();
  for (std::uint32_t rank = 0; rank < plan.ranks(); ++rank) {
    const double own = parts.count(rank);
    in_ = std::max(in_, parts_ - own);
    out_ = std::max(out_, own * (ranks_ - 1));
  }
  doubling_ = doubling_fits(plan.shards, parts);
  tree_ = tree_fits(parts);
  if (tree_) {
    const TreeTraffic traffic = tree_traffic(plan.shards, parts);
    tree_hops_ = traffic.hops;
    tree_vectors_ = traffic.vectors;
  }
}

double SumCost::seconds(Collective collective, std::uint64_t elements, const LinkCost& link) const {
  constexpr double kNever = std::numeric_limits<double>::infinity();
  const double bytes = 4.0 * static_cast<double>(elements);
  switch (collective) {
    case Collective::direct: {
      if (bytes * parts_ <= static_cast<double>(cut_.one_round_bytes)) {
        return link.exchange + std::max(in_, out_) * bytes * link.byte;
      }
      // Parts to the owners of slices, and totals to all.
      const double vectors = (std::max(in_, out_) + ranks_ - 1) / ranks_;
      return 2 * link.exchange + vectors * bytes * link.byte;
    }
    case Collective::doubling: {
      if (!doubling_) return kNever;
      return std::log2(ranks_) * (link.pair + bytes * link.byte);
    }
    case Collective::tree: {
      if (!tree_) return kNever;
      const double slice = std::min(bytes, static_cast<double>(cut_.slice_bytes));
      return tree_hops_ * (link.pair + slice * link.byte) + tree_vectors_ * (bytes - slice) * link.byte;
    }
  }
  return kNever;
}

std::vector<Collective> choose(const SumPlan& plan, std::optional<Collective> wish, const LinkCost& link,
                               const Cut& cut) {
  if (wish) {
    const bool fits = possible(*wish, plan.shards, plan.parts_of_rank);
    return std::vector(plan.buckets.size(), fits ? *wish : Collective::direct);
  }
  const SumCost cost(plan, cut);
  std::vector<Collective> out;
  for (const SumPlan::Bucket& bucket : plan.buckets) {
    const std::uint64_t elements = bucket.end - bucket.begin;
    Collective best = Collective::direct;
    double least = kWorthIt * cost.seconds(best, elements, link);
    for (const Collective other : {Collective::doubling, Collective::tree}) {
      const double seconds = cost.seconds(other, elements, link);
      if (seconds >= least) continue;
      least = seconds;
      best = other;
    }
    out.push_back(best);
  }
  return out;
}

}  // namespace dl::comm
