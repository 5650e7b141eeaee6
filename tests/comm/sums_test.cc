// SPDX-License-Identifier: MIT
// Facts that hold for every communicator: the sums and the records.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>

#include "rounds.h"

using namespace dl;
using test::check;
using test::Problem;

namespace {

void check_local(const Problem& problem, std::uint32_t count) {
  comm::LocalGroup group(problem.plan());
  check(problem, count, "threads", [&](std::uint32_t rank) { return group.rank(rank); });
}

void check_one_mapping(const Problem& problem, std::uint32_t count) {
  test::OneMapping group(problem.plan());
  check(problem, count, "one mapping", [&](std::uint32_t rank) { return group.rank(rank); });
}

// Nodes of each way, for facts that hold for both; every call is a generation of its own.
class Meshes {
 public:
  explicit Meshes(std::uint32_t count) {
    for (const test::Way& way : test::kWays) {
      nodes_.push_back(std::make_unique<test::Nodes>(count, way.transport));
    }
  }

  void check(const Problem& problem, std::uint32_t count, const comm::TcpTuning& tuning = {}) {
    ++generation_;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      const std::string& name = test::kWays[i].name;
      CAPTURE(name);
      test::check(problem, count, name, [&](std::uint32_t rank) {
        comm::MeshGroup own = nodes_[i]->group(rank, generation_);
        own.members.resize(problem.ranks());
        return nodes_[i]->meshes[rank]->connect(own, problem.plan(), net::Milliseconds(10000), tuning);
      });
    }
  }

 private:
  std::vector<std::unique_ptr<test::Nodes>> nodes_;
  std::uint32_t generation_ = 0;
};

const std::vector<std::pair<std::uint64_t, std::uint64_t>> kBuckets = {
    {0, 1}, {1, 3}, {3, 3}, {3, 40}, {40, 1000}, {2000, 9000}};

}  // namespace

TEST_CASE("local: every rank ends with the bits of the serial sum") {
  for (std::uint32_t ranks = 1; ranks <= 5; ++ranks) {
    for (const std::uint32_t shards : {1U, 2U, 3U, 7U, 8U, 20U}) {
      CAPTURE(ranks);
      CAPTURE(shards);
      Problem problem = test::dealt(shards, ranks, 1);
      problem.buckets = kBuckets;
      check_local(problem, 4);
    }
  }
}

TEST_CASE("one mapping: every rank ends with the bits of the serial sum") {
  for (std::uint32_t ranks = 2; ranks <= 4; ++ranks) {
    for (const std::uint32_t shards : {1U, 2U, 3U, 8U, 20U}) {
      CAPTURE(ranks);
      CAPTURE(shards);
      Problem problem = test::dealt(shards, ranks, 1);
      problem.buckets = kBuckets;
      check_one_mapping(problem, 20);
    }
  }
}

TEST_CASE("one mapping: buckets of many chunks, borders anywhere, many rounds") {
  Problem problem;
  problem.shards = 3;
  problem.held = {{0, 2}, {1}};
  problem.buckets = {{5, 60001}, {60001, 60002}, {60002, 76400}};
  check_one_mapping(problem, 100);
}

TEST_CASE("local: the part of a rank alone is the result") {
  Problem problem = test::dealt(8, 1, 1);
  problem.buckets = {{0, 100}};
  comm::LocalGroup group(problem.plan());
  const auto end = group.rank(0);
  test::contribute(*end, problem, 0);
  CHECK(end->part(0).data() == end->result().data());
  end->start(0);
  end->wait(0);
  CHECK(std::ranges::equal(end->result(), problem.total(0)));
}

TEST_CASE("local: several own parts are added in the order of the tree") {
  Problem problem = test::dealt(20, 1, 1);
  problem.buckets = kBuckets;
  comm::SumPlan plan = problem.plan();
  plan.parts_of_rank[0].clear();
  for (std::uint32_t s = 0; s < 20; ++s) plan.parts_of_rank[0].push_back({s, s + 1});
  comm::LocalGroup group(plan);
  const auto end = group.rank(0);
  for (std::uint32_t s = 0; s < 20; ++s) {
    const std::span<float> part = end->part(s);
    for (std::size_t i = 0; i < part.size(); ++i) part[i] = Problem::leaf(0, s, i);
  }
  end->start(5);
  end->wait(5);
  const auto total = problem.total(0);
  CHECK(std::memcmp(&end->result()[2000], &total[2000], 7000 * 4) == 0);
}

TEST_CASE("mesh: every rank ends with the bits of the serial sum") {
  for (std::uint32_t ranks = 1; ranks <= 5; ++ranks) {
    Meshes meshes(ranks);
    for (std::uint32_t shards = 1; shards <= 20; shards += ranks < 4 ? 1 : 3) {
      CAPTURE(ranks);
      CAPTURE(shards);
      Problem problem = test::dealt(shards, ranks, 2);
      problem.buckets = kBuckets;
      // Both ways to add, and pieces smaller than a bucket.
      meshes.check(problem, 3, {4096, 2048});
    }
  }
}

TEST_CASE("mesh: aligned shares, several rounds in a row, one round and two") {
  Meshes meshes(3);
  for (const std::uint64_t one_round : {std::uint64_t{0}, std::uint64_t{1} << 30}) {
    Problem problem;
    problem.shards = 6;
    problem.held = {{0, 1}, {2, 3}, {4, 5}};
    problem.buckets = {{0, 5000}, {5000, 5010}, {6000, 30000}};
    meshes.check(problem, 60, {one_round, 4096});
  }
}

TEST_CASE("mesh: ranks without any shard take part") {
  Meshes meshes(4);
  for (const std::uint64_t one_round : {std::uint64_t{0}, std::uint64_t{1} << 30}) {
    for (std::uint32_t owner = 0; owner < 4; ++owner) {
      Problem problem;
      problem.shards = 2;
      problem.held.resize(4);
      problem.held[owner] = {0, 1};
      problem.buckets = {{0, 7}, {7, 4000}};
      meshes.check(problem, 10, {one_round, 4096});
    }
  }
}

TEST_CASE("mesh: megabytes, in pieces of the usual size") {
  Meshes meshes(2);
  Problem problem;
  problem.shards = 3;
  problem.held = {{0, 2}, {1}};
  problem.buckets = {{0, 300000}, {300000, 1100000}};
  meshes.check(problem, 3);
}

TEST_CASE("mesh: empty buckets alone, records without bytes, no bucket at all") {
  Meshes meshes(3);
  Problem problem = test::dealt(4, 3, 3);
  problem.buckets = {{0, 0}, {5, 5}};
  meshes.check(problem, 20);
  problem.buckets.clear();
  meshes.check(problem, 20);
  problem.record_bytes = 0;
  problem.buckets = {{0, 10}};
  meshes.check(problem, 20);
}

TEST_CASE("mesh, local: gather gives everyone's bytes in rank order") {
  const std::vector<std::uint32_t> sizes = {3, 0, 70000};
  const auto mine = [&](std::uint32_t rank, std::uint32_t call) {
    return test::record_of(sizes[rank], call, rank);
  };
  const auto calls = [&](comm::Communicator& end) {
    for (std::uint32_t call = 0; call < 20; ++call) {
      const ByteView all = end.gather(mine(end.rank(), call), sizes);
      Bytes expected;
      for (std::uint32_t rank = 0; rank < 3; ++rank) {
        const Bytes one = mine(rank, call);
        expected.insert(expected.end(), one.begin(), one.end());
      }
      if (!std::equal(all.begin(), all.end(), expected.begin(), expected.end())) return false;
    }
    return true;
  };
  Problem problem = test::dealt(4, 3, 3);
  problem.buckets = {{0, 10}};
  comm::LocalGroup group(problem.plan());
  const auto all_equal = [&](const std::function<std::unique_ptr<comm::Communicator>(std::uint32_t)>& join) {
    const auto thrown = test::as_threads(3, [&](std::uint32_t rank) {
      if (!calls(*join(rank))) throw std::runtime_error("other bytes");
    });
    for (const std::string& what : thrown) CHECK(what == "");
  };
  all_equal([&](std::uint32_t rank) { return group.rank(rank); });
  for (const test::Way& way : test::kWays) {
    CAPTURE(way.name);
    test::Nodes nodes(3, way.transport);
    all_equal([&](std::uint32_t rank) {
      return nodes.meshes[rank]->connect(nodes.group(rank), problem.plan(), net::Milliseconds(10000));
    });
  }
}
