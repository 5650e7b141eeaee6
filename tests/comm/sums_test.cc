// SPDX-License-Identifier: MIT
// Facts that hold for every communicator: the sums and the records.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "ranks.h"

using namespace dl;
using test::Problem;

namespace {

// Several rounds of one rank; "" where everything was as it must be.
std::string rounds(comm::Communicator& group, const Problem& problem, std::span<float> result,
                   std::uint32_t count, const std::vector<std::vector<float>>& totals) {
  const std::uint32_t rank = group.rank();
  Rng rng(count, Purpose::test, rank);
  for (std::uint32_t round = 0; round < count; ++round) {
    const auto parts = problem.parts(round, rank);
    std::vector<const float*> pointers;
    for (const auto& part : parts) pointers.push_back(part.data());
    group.post(test::record_of(problem.record_bytes, round, rank));
    for (std::size_t b = 0; b < problem.buckets.size(); ++b) {
      if (rng.below(4) == 0) std::this_thread::yield();
      group.start(b, pointers);
    }
    for (std::size_t b = problem.buckets.size(); b-- > 0;) group.wait(b);
    for (const auto& [begin, end] : problem.buckets) {
      if (begin < end && std::memcmp(&result[begin], &totals[round][begin], (end - begin) * 4) != 0) {
        return fmt::format("round {}: other bits in [{}, {})", round, begin, end);
      }
    }
    const ByteView records = group.collect();
    for (std::uint32_t r = 0; r < problem.ranks(); ++r) {
      const Bytes expected = test::record_of(problem.record_bytes, round, r);
      const ByteView got = records.subspan(std::size_t{r} * problem.record_bytes,
                                           problem.record_bytes);
      if (!std::equal(got.begin(), got.end(), expected.begin(), expected.end())) {
        return fmt::format("round {}: another record of rank {}", round, r);
      }
    }
    std::fill(result.begin(), result.end(), -1.0F);
  }
  return "";
}

std::vector<std::vector<float>> totals_of(const Problem& problem, std::uint32_t count) {
  std::vector<std::vector<float>> totals;
  for (std::uint32_t round = 0; round < count; ++round) totals.push_back(problem.total(round));
  return totals;
}

void check_all(const Problem& problem, const std::vector<std::string>& thrown,
               const std::vector<std::string>& said) {
  for (std::uint32_t rank = 0; rank < problem.ranks(); ++rank) {
    CAPTURE(rank);
    CHECK(thrown[rank] == "");
    CHECK(said[rank] == "");
  }
}

void check_local(const Problem& problem, std::uint32_t count) {
  const auto totals = totals_of(problem, count);
  comm::LocalGroup group(problem.plan());
  std::vector<std::string> said(problem.ranks());
  const auto thrown = test::as_threads(problem.ranks(), [&](std::uint32_t rank) {
    std::vector<float> result(problem.size());
    const auto end = group.rank(rank, result);
    said[rank] = rounds(*end, problem, result, count, totals);
  });
  check_all(problem, thrown, said);
}

void check_tcp(test::Nodes& nodes, const Problem& problem, std::uint32_t count,
               std::uint32_t generation, const comm::TcpTuning& tuning = {}) {
  const auto totals = totals_of(problem, count);
  std::vector<std::string> said(problem.ranks());
  const auto thrown = test::as_threads(problem.ranks(), [&](std::uint32_t rank) {
    std::vector<float> result(problem.size());
    comm::TcpGroup own = nodes.group(rank, generation);
    own.members.resize(problem.ranks());
    const auto end = nodes.meshes[rank]->connect(own, problem.plan(), result,
                                                 net::Milliseconds(10000), tuning);
    CHECK(end->rank() == rank);
    CHECK(end->size() == problem.ranks());
    said[rank] = rounds(*end, problem, result, count, totals);
  });
  check_all(problem, thrown, said);
}

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

TEST_CASE("local: a rank alone whose part is the result is left alone") {
  Problem problem = test::dealt(8, 1, 1);
  problem.buckets = {{0, 100}};
  comm::LocalGroup group(problem.plan());
  std::vector<float> result = problem.parts(0, 0)[0];
  const std::vector<float> before = result;
  const auto end = group.rank(0, result);
  const float* part = result.data();
  end->start(0, std::span(&part, 1));
  end->wait(0);
  CHECK(result == before);
  CHECK(result == problem.total(0));
}

TEST_CASE("local: several own parts are added in the order of the tree") {
  Problem problem = test::dealt(20, 1, 1);
  problem.buckets = kBuckets;
  comm::SumPlan plan = problem.plan();
  plan.parts_of_rank[0].clear();
  for (std::uint32_t s = 0; s < 20; ++s) plan.parts_of_rank[0].push_back({s, s + 1});
  comm::LocalGroup group(plan);
  std::vector<float> result(problem.size());
  const auto end = group.rank(0, result);
  std::vector<std::vector<float>> parts(20, std::vector<float>(problem.size()));
  std::vector<const float*> pointers;
  for (std::uint32_t s = 0; s < 20; ++s) {
    for (std::size_t i = 0; i < parts[s].size(); ++i) parts[s][i] = Problem::leaf(0, s, i);
    pointers.push_back(parts[s].data());
  }
  end->start(5, pointers);
  end->wait(5);
  const auto total = problem.total(0);
  CHECK(std::memcmp(&result[2000], &total[2000], 7000 * 4) == 0);
}

TEST_CASE("tcp: every rank ends with the bits of the serial sum") {
  for (std::uint32_t ranks = 1; ranks <= 5; ++ranks) {
    test::Nodes nodes(ranks);
    std::uint32_t generation = 0;
    for (std::uint32_t shards = 1; shards <= 20; shards += ranks < 4 ? 1 : 3) {
      CAPTURE(ranks);
      CAPTURE(shards);
      Problem problem = test::dealt(shards, ranks, 2);
      problem.buckets = kBuckets;
      // Both ways to add, and pieces smaller than a bucket.
      check_tcp(nodes, problem, 3, ++generation, {4096, 2048});
    }
  }
}

TEST_CASE("tcp: aligned shares, several rounds in a row, one round and two") {
  test::Nodes nodes(3);
  std::uint32_t generation = 0;
  for (const std::uint64_t one_round : {std::uint64_t{0}, std::uint64_t{1} << 30}) {
    Problem problem;
    problem.shards = 6;
    problem.held = {{0, 1}, {2, 3}, {4, 5}};
    problem.buckets = {{0, 5000}, {5000, 5010}, {6000, 30000}};
    check_tcp(nodes, problem, 60, ++generation, {one_round, 4096});
  }
}

TEST_CASE("tcp: ranks without any shard take part") {
  test::Nodes nodes(4);
  std::uint32_t generation = 0;
  for (const std::uint64_t one_round : {std::uint64_t{0}, std::uint64_t{1} << 30}) {
    for (std::uint32_t owner = 0; owner < 4; ++owner) {
      Problem problem;
      problem.shards = 2;
      problem.held.resize(4);
      problem.held[owner] = {0, 1};
      problem.buckets = {{0, 7}, {7, 4000}};
      check_tcp(nodes, problem, 10, ++generation, {one_round, 4096});
    }
  }
}

TEST_CASE("tcp: megabytes, in pieces of the usual size") {
  test::Nodes nodes(2);
  Problem problem;
  problem.shards = 3;
  problem.held = {{0, 2}, {1}};
  problem.buckets = {{0, 300000}, {300000, 1100000}};
  check_tcp(nodes, problem, 3, 1);
}

TEST_CASE("tcp: empty buckets alone, records without bytes, no bucket at all") {
  test::Nodes nodes(3);
  Problem problem = test::dealt(4, 3, 3);
  problem.buckets = {{0, 0}, {5, 5}};
  check_tcp(nodes, problem, 20, 1);
  problem.buckets.clear();
  check_tcp(nodes, problem, 20, 2);
  problem.record_bytes = 0;
  problem.buckets = {{0, 10}};
  check_tcp(nodes, problem, 20, 3);
}

TEST_CASE("tcp, local: gather gives everyone's bytes in rank order") {
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
  test::Nodes nodes(3);
  const auto thrown = test::as_threads(3, [&](std::uint32_t rank) {
    std::vector<float> result(10);
    const auto local = group.rank(rank, result);
    if (!calls(*local)) throw std::runtime_error("local: other bytes");
    const auto tcp = nodes.meshes[rank]->connect(nodes.group(rank), problem.plan(), result,
                                                 net::Milliseconds(10000));
    if (!calls(*tcp)) throw std::runtime_error("tcp: other bytes");
  });
  for (const std::string& what : thrown) CHECK(what == "");
}
