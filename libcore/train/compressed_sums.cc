// SPDX-License-Identifier: MIT
#include "train/compressed_sums.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace dl::train {

namespace {

constexpr std::uint64_t kGatherFloats = 1 << 21;  // of a rank at once: 8 MiB

}  // namespace

std::vector<std::vector<std::uint32_t>> groups_by_rank(const Group& group, std::uint32_t groups) {
  std::vector<std::vector<std::uint32_t>> out(group.size);
  const auto shards = static_cast<std::uint32_t>(group.owner.size());
  for (std::uint32_t g = 0; g < groups; ++g) {
    const ShardRange range = comm::group_of_shards(shards, groups, g);
    const std::uint32_t rank = group.owner.at(range.begin);
    for (std::uint32_t s = range.begin; s < range.end; ++s) {
      if (group.owner[s] != rank) {
        fail(Exit::bug, "shards {} and {} are compressed together, but ranks {} and {} hold them", range.begin, s, rank,
             group.owner[s]);
      }
    }
    out.at(rank).push_back(g);
  }
  return out;
}

std::vector<std::uint32_t> shards_by_group(const Group& group, std::uint32_t groups) {
  std::vector<std::uint32_t> out;
  const auto by_rank = groups_by_rank(group, groups);
  for (const std::uint32_t g : by_rank[group.rank]) {
    out.push_back(comm::group_of_shards(static_cast<std::uint32_t>(group.owner.size()), groups, g).size());
  }
  return out;
}

comm::SumPlan compressed_plan(const Group& group, std::uint32_t groups, std::span<const nn::ElementRange> buckets) {
  comm::SumPlan plan = group.sum_plan(buckets);
  plan.shards = groups;
  plan.parts_of_rank.clear();
  for (const auto& own : groups_by_rank(group, groups)) {
    auto& parts = plan.parts_of_rank.emplace_back();
    for (const std::uint32_t g : own) parts.push_back({g, g + 1});
  }
  return plan;
}

FeedbackVectors::FeedbackVectors(Replica& replica, const RunConfig& config, const comm::Compression& compression,
                                 const Group& group)
    : replica_(replica),
      groups_(config.agreement.groups),
      kinds_(comm::has_velocity(compression) ? 2 : 1),
      has_basis_(comm::basis_size(compression) > 0),
      rank_(group.rank),
      by_rank_(groups_by_rank(group, groups_)) {}

std::span<float> FeedbackVectors::vector(std::size_t kind, std::uint32_t of_group) const {
  return replica_.extra(kind * groups_ + of_group);
}

comm::CompressionState FeedbackVectors::own() const {
  comm::CompressionState state;
  for (const std::uint32_t g : by_rank_[rank_]) {
    state.groups.push_back({vector(0, g), kinds_ > 1 ? vector(1, g) : std::span<float>()});
  }
  if (has_basis_) state.basis = replica_.extra(kinds_ * groups_);
  return state;
}

void FeedbackVectors::share(comm::Communicator& all) {
  if (all.size() == 1) return;
  std::size_t most = 1;
  for (const auto& own : by_rank_) most = std::max(most, own.size());
  const std::uint64_t size = vector(0, 0).size();
  const std::uint64_t step = std::max<std::uint64_t>(kGatherFloats / (most * kinds_), 1);
  std::vector<std::uint32_t> sizes;
  Bytes mine;
  for (std::uint64_t at = 0; at < size; at += step) {
    const std::uint64_t count = std::min(step, size - at);
    sizes.clear();
    for (const auto& own : by_rank_) {
      sizes.push_back(static_cast<std::uint32_t>(own.size() * kinds_ * count * sizeof(float)));
    }
    mine.clear();
    for (const std::uint32_t g : by_rank_[rank_]) {
      for (std::size_t kind = 0; kind < kinds_; ++kind) {
        const ByteView bytes = std::as_bytes(vector(kind, g).subspan(at, count));
        mine.insert(mine.end(), bytes.begin(), bytes.end());
      }
    }
    const std::byte* from = all.gather(mine, sizes).data();
    for (const auto& own : by_rank_) {
      for (const std::uint32_t g : own) {
        for (std::size_t kind = 0; kind < kinds_; ++kind) {
          std::memcpy(vector(kind, g).data() + at, from, count * sizeof(float));
          from += count * sizeof(float);
        }
      }
    }
  }
}

}  // namespace dl::train
