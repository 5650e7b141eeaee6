// SPDX-License-Identifier: MIT
#include "train/group.h"

#include <doctest/doctest.h>

#include <limits>

#include "net/frame.h"

using namespace dl;

TEST_CASE("group: parts, segments and records follow from the map of shards") {
  train::Group group{.generation = 1, .rank = 1, .size = 3, .owner = {0, 0, 1, 2, 1, 1, 1, 2}};
  CHECK(group.shards_of(1) == std::vector<std::uint32_t>{2, 4, 5, 6});
  CHECK(group.group_sizes() == std::vector<std::uint32_t>{1, 2, 1});
  const std::vector<nn::ElementRange> buckets = {{10, 20}, {0, 10}};
  const comm::SumPlan plan = group.sum_plan(buckets);
  CHECK(plan.shards == 8);
  CHECK(plan.parts_of_rank[0] == std::vector<ShardRange>{{0, 2}});
  CHECK(plan.parts_of_rank[1] == std::vector<ShardRange>{{2, 3}, {4, 6}, {6, 7}});
  CHECK(plan.buckets[0].begin == 10);
  CHECK(plan.record_bytes == 16 + 16 * 4);
}

TEST_CASE("group: records are put together in the tree, bits are or-ed, a bad loss is found") {
  train::Group group{.generation = 1, .rank = 0, .size = 2, .owner = {0, 1, 0}};
  const std::uint32_t size = train::StepRecord::bytes(group);
  const auto records = [&](double second) {
    Bytes all, one;
    train::StepRecord::write(one, size, 1, std::vector<double>{1e16, -1e16}, std::vector<double>{3, 4});
    all.insert(all.end(), one.begin(), one.end());
    train::StepRecord::write(one, size, 2, std::vector<double>{second}, std::vector<double>{5});
    all.insert(all.end(), one.begin(), one.end());
    return all;
  };
  const train::StepTotals totals = train::read_records(group, records(1.0));
  CHECK(totals.bits == 3);
  CHECK(totals.loss == (1e16 + 1.0) - 1e16);
  CHECK(totals.weight == 12);
  CHECK(totals.bad_shard == UINT32_MAX);
  CHECK(train::read_records(group, records(std::numeric_limits<double>::quiet_NaN())).bad_shard == 1);
}

TEST_CASE("group: the record of a rank with the most shards that there can be fits into a frame") {
  const train::Group group{.generation = 1, .rank = 0, .size = 2, .owner = std::vector<std::uint32_t>(4096, 0)};
  CHECK(train::StepRecord::bytes(group) <= net::max_length(net::Type::record));
}
