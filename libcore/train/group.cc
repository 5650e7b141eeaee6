// SPDX-License-Identifier: MIT
#include "train/group.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "base/error.h"

namespace dl::train {

namespace {

std::vector<std::uint32_t> places_of(std::uint32_t rank, std::span<const std::uint32_t> owner) {
  std::vector<std::uint32_t> mine;
  for (std::uint32_t i = 0; i < owner.size(); ++i) {
    if (owner[i] == rank) mine.push_back(i);
  }
  return mine;
}

}  // namespace

std::vector<std::uint32_t> Group::shards_of(std::uint32_t of_rank) const { return places_of(of_rank, owner); }
std::vector<std::uint32_t> Group::blocks_of(std::uint32_t of_rank) const { return places_of(of_rank, block_owner); }

std::vector<std::uint32_t> Group::shards_read() const {
  if (block_owner.empty()) return shards_of(rank);
  std::vector<std::uint32_t> all(owner.size());
  std::iota(all.begin(), all.end(), 0U);
  return all;
}

comm::SumPlan Group::sum_plan(std::span<const nn::ElementRange> buckets) const {
  comm::SumPlan plan;
  plan.shards = static_cast<std::uint32_t>(owner.size());
  for (std::uint32_t r = 0; r < size; ++r) {
    plan.parts_of_rank.push_back(maximal_subtrees(plan.shards, shards_of(r)));
  }
  for (const nn::ElementRange& bucket : buckets) plan.buckets.push_back({bucket.begin, bucket.end});
  plan.record_bytes = StepRecord::bytes(*this);
  return plan;
}

std::vector<std::uint32_t> Group::group_sizes() const {
  std::vector<std::uint32_t> sizes;
  for (const ShardRange& part :
       maximal_subtrees(static_cast<std::uint32_t>(owner.size()), shards_of(rank))) {
    sizes.push_back(part.size());
  }
  return sizes;
}

std::uint32_t StepRecord::bytes(const Group& group) {
  std::size_t most = 0;
  for (std::uint32_t r = 0; r < group.size; ++r) most = std::max(most, group.shards_of(r).size());
  return static_cast<std::uint32_t>(16 + 16 * most);
}

void StepRecord::write(Bytes& out, std::uint32_t size, std::uint32_t bits,
                       std::span<const double> losses, std::span<const double> weights,
                       double busy_before) {
  out.clear();
  put(out, bits);
  put(out, std::uint32_t{0});
  put(out, busy_before);
  for (std::size_t i = 0; i < losses.size(); ++i) {
    put(out, losses[i]);
    put(out, weights[i]);
  }
  out.resize(size);
}

StepTotals read_records(const Group& group, ByteView records) {
  const std::uint32_t size = StepRecord::bytes(group);
  StepTotals totals;
  std::vector<double> losses(group.owner.size()), weights(group.owner.size());
  std::vector<ByteReader> readers;
  for (std::uint32_t r = 0; r < group.size; ++r) {
    readers.emplace_back(records.subspan(std::size_t{r} * size, size), "a rank's record");
    totals.bits |= readers[r].get<std::uint32_t>();
    readers[r].get<std::uint32_t>();
    totals.busy_before.push_back(readers[r].get<double>());
  }
  for (std::uint32_t s = 0; s < group.owner.size(); ++s) {
    losses[s] = readers[group.owner[s]].get<double>();
    weights[s] = readers[group.owner[s]].get<double>();
    if (!std::isfinite(losses[s]) && totals.bad_shard == UINT32_MAX) totals.bad_shard = s;
  }
  totals.loss = tree_sum(losses);
  totals.weight = tree_sum(weights);
  return totals;
}

void check_finite(const StepTotals& totals, std::uint64_t first_step, std::uint64_t last_step) {
  if (totals.bad_shard == UINT32_MAX) return;
  const std::string when = first_step == last_step
                               ? fmt::format("step {}: nothing of that step", first_step)
                               : fmt::format("steps {} to {}: nothing of them", first_step, last_step);
  fail(Exit::data, "the loss of shard {} is not finite in {} is kept; a smaller --lr or --clip may help",
       totals.bad_shard, when);
}

}  // namespace dl::train
