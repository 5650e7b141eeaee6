// SPDX-License-Identifier: MIT
#include "train/async_plan.h"

#include <algorithm>

#include "base/error.h"
#include "train/compressed_sums.h"
#include "train/compression.h"

namespace dl::train {

namespace {

constexpr std::uint64_t kAlign = 16;         // floats: a cache line
constexpr std::uint64_t kMostSteps = 4096;  // of a round
constexpr std::uint64_t kUnderWay = 8;      // steps of a rank that are not applied yet, where any number may be

}  // namespace

std::vector<Unit> units_of(const Group& group, std::uint32_t groups) {
  const auto shards = static_cast<std::uint32_t>(group.owner.size());
  std::vector<Unit> units;
  if (groups > 0) {
    const auto by_rank = groups_by_rank(group, groups);
    for (std::uint32_t r = 0; r < group.size; ++r) {
      for (const std::uint32_t g : by_rank[r]) units.push_back({comm::group_of_shards(shards, groups, g), r});
    }
    return units;
  }
  for (std::uint32_t r = 0; r < group.size; ++r) {
    for (const ShardRange& part : maximal_subtrees(shards, group.shards_of(r))) units.push_back({part, r});
  }
  return units;
}

std::vector<std::uint32_t> units_at(const std::vector<Unit>& units, std::uint32_t rank) {
  std::vector<std::uint32_t> out;
  for (std::uint32_t u = 0; u < units.size(); ++u) {
    if (units[u].rank == rank) out.push_back(u);
  }
  return out;
}

std::vector<nn::ElementRange> parts_of(std::uint64_t elements, std::span<const Unit> units, std::uint32_t ranks) {
  std::vector<std::uint64_t> shards(ranks);
  std::uint64_t all = 0, passed = 0, begin = 0;
  for (const Unit& unit : units) {
    shards.at(unit.rank) += unit.shards.size();
    all += unit.shards.size();
  }
  if (all == 0) fail(Exit::bug, "parts for {} ranks without a shard", ranks);
  std::vector<nn::ElementRange> out;
  for (std::uint32_t r = 0; r < ranks; ++r) {
    passed += shards[r];
    const std::uint64_t end = r + 1 == ranks ? elements : elements / kAlign * passed / all * kAlign;
    out.push_back({begin, end});
    begin = end;
  }
  return out;
}

UpdateRule update_rule(const RunConfig& config, std::uint64_t samples, std::vector<Unit> units, std::uint32_t shards,
                       std::vector<nn::ElementRange> parts) {
  UpdateRule rule{.optimizer = applied_optimizer(config),
                  .schedule = config.schedule,
                  .delay_compensation = config.agreement.delay_compensation,
                  .shards = shards,
                  .groups = compressed_groups(config),
                  .units = std::move(units),
                  .parts = std::move(parts)};
  rule.schedule.total = config.total_steps(samples);
  return rule;
}

PartOwner own_part(const UpdateRule& rule, Replica& replica, std::uint32_t part) {
  const nn::ElementRange range = rule.parts[part];
  const auto cut = [&](std::span<const float> whole) { return whole.subspan(range.begin, range.end - range.begin); };
  std::vector<std::span<const float>> slots;
  for (std::size_t i = 0; i < replica.slots(); ++i) slots.push_back(cut(replica.slot(i)));
  return {rule, part, replica.step(), cut(replica.model().parameters()), slots};
}

std::optional<comm::PartCodes> part_codes(const RunConfig& config, std::uint64_t steps_per_epoch, nn::Model& model,
                                          const std::vector<nn::ElementRange>& parts) {
  if (!compresses(config)) return std::nullopt;
  std::vector<comm::SumPlan::Bucket> buckets;
  for (const nn::ElementRange& bucket : model.buckets()) buckets.push_back({bucket.begin, bucket.end});
  std::vector<comm::PartCodes::Range> ranges;
  for (const nn::ElementRange& part : parts) ranges.push_back({part.begin, part.end});
  return std::optional<comm::PartCodes>(std::in_place, compression_of(config, steps_per_epoch).settings,
                                        std::move(buckets), std::move(ranges));
}

bool may_begin(std::uint64_t step, std::uint32_t rank, std::span<const std::uint64_t> applied,
               const std::optional<std::uint64_t>& max_staleness, std::uint64_t most_under_way) {
  if (!max_staleness) return step < applied[rank] + most_under_way;
  return std::ranges::none_of(applied, [&](std::uint64_t its) {
    return its != UINT64_MAX && step > its && step - its > *max_staleness;
  });
}

std::uint64_t most_under_way(const std::vector<Unit>& units, std::uint32_t rank) {
  std::uint64_t all = 0, own = 0;
  for (const Unit& unit : units) {
    all += unit.shards.size();
    if (unit.rank == rank) own += unit.shards.size();
  }
  return own == 0 ? 0 : std::max(kUnderWay, (all + own - 1) / own);
}

comm::SumPlan message_plan(const Group& group, const UpdateRule& rule, const std::optional<comm::PartCodes>& codes,
                           std::uint64_t head) {
  comm::SumPlan plan = group.sum_plan({});
  std::uint64_t longest = codes ? codes->most_bytes() : 0;
  for (const nn::ElementRange& part : rule.parts) longest = std::max(longest, (part.end - part.begin) * sizeof(float));
  if (rule.optimizer.clip_norm > 0) longest = std::max(longest, PartOwner::most_share_bytes(rule.parts));
  plan.message_bytes = head + longest;
  return plan;
}

std::uint64_t most_round_steps(std::uint64_t units, std::uint64_t ranks) {
  const std::uint64_t of_step = 16 * units + 8 * ranks * ranks + 4 * units * ranks;
  const std::uint64_t head = 64 + 10 * units;
  const std::uint64_t steps = head < kMostRecordBytes ? (kMostRecordBytes - head) / of_step : 0;
  if (steps == 0) {
    fail(Exit::usage, "--mode async: {} pieces of the tree of shards on {} nodes are too many for the log; fewer "
                      "nodes, or --assign balanced", units, ranks);
  }
  return std::min(steps, kMostSteps);
}

}  // namespace dl::train
