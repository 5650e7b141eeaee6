// SPDX-License-Identifier: MIT
// The collectives over TCP: the same bits by all of them, and what ends a group in the middle.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <barrier>
#include <future>

#include "comm/links.h"
#include "rounds.h"
#include "small.h"

using namespace dl;
using comm::Collective;
using comm::TcpTuning;
using test::kLong;
using test::Problem;

namespace {

constexpr Collective kAll[] = {Collective::direct, Collective::doubling, Collective::tree};

std::string called(Collective collective, const Problem& problem) {
  const bool fits = possible(collective, problem.shards, problem.plan().parts_of_rank);
  if (collective == Collective::direct) return "tcp";
  if (!fits) {
    return fmt::format("tcp, direct, since these shards on these ranks cannot go by {}", name_of(collective));
  }
  return fmt::format("tcp, {0} of {0} buckets by {1}", problem.buckets.size(), name_of(collective));
}

class Group {
 public:
  explicit Group(std::uint32_t count) : nodes_(count) {}

  void check(const Problem& problem, std::uint32_t count, TcpTuning tuning) {
    for (const Collective collective : kAll) {
      tuning.collective = collective;
      CAPTURE(name_of(collective));
      ++generation_;
      test::check(problem, count, called(collective, problem), [&](std::uint32_t rank) {
        return nodes_.meshes[rank]->connect(nodes_.group(rank, generation_), problem.plan(), kLong, tuning);
      });
    }
  }

 private:
  test::Nodes nodes_;
  std::uint32_t generation_ = 0;
};

// Range r of equal size on rank r.
Problem aligned(std::uint32_t ranks, std::uint32_t each) {
  Problem problem;
  problem.shards = ranks * each;
  for (std::uint32_t s = 0; s < problem.shards; ++s) {
    if (s % each == 0) problem.held.emplace_back();
    problem.held.back().push_back(s);
  }
  return problem;
}

const std::vector<std::pair<std::uint64_t, std::uint64_t>> kBuckets = {
    {0, 1}, {1, 3}, {3, 3}, {3, 40}, {40, 1000}, {2000, 9000}};

}  // namespace

TEST_CASE("tcp: direct, doubling and the tree end with the same bits, ragged and empty shares too") {
  for (std::uint32_t ranks = 2; ranks <= 5; ++ranks) {
    Group group(ranks);
    for (const std::uint32_t shards : {1U, 2U, 5U, 8U}) {
      CAPTURE(ranks);
      CAPTURE(shards);
      Problem problem = test::dealt(shards, ranks, 5);
      problem.buckets = kBuckets;
      group.check(problem, 3, {4096, 2048});
    }
    Problem problem = aligned(ranks, 2);
    problem.buckets = kBuckets;
    group.check(problem, 8, {4096, 2048});
  }
}

TEST_CASE("tcp: direct, doubling and the tree, many rounds of short and long buckets") {
  for (const std::uint32_t ranks : {2U, 4U}) {
    Group group(ranks);
    Problem problem = aligned(ranks, 1);
    problem.buckets = {{0, 256}, {256, 30000}};
    group.check(problem, 30, {});
    if (ranks == 2) {
      problem.buckets = {{0, 500000}};
      group.check(problem, 3, {});
    }
  }
}

TEST_CASE("tcp: ranks in the order of their shards, not of their numbers, double") {
  Group group(4);
  Problem problem = aligned(4, 2);
  std::swap(problem.held[0], problem.held[3]);
  std::swap(problem.held[1], problem.held[3]);
  problem.buckets = kBuckets;
  group.check(problem, 20, {4096, 2048});
}

TEST_CASE("tcp: links are measured to the same numbers on every rank, and the choice gives the same bits") {
  for (std::uint32_t ranks = 2; ranks <= 4; ++ranks) {
    test::Nodes nodes(ranks);
    Problem problem = aligned(ranks, 1);
    problem.buckets = {{0, 256}, {256, 60000}};
    std::vector<comm::LinkCost> measured(ranks);
    std::vector<std::string> transports(ranks);
    std::vector<char> right(ranks);  // not bool: each rank writes its own
    const auto thrown = test::as_threads(ranks, [&](std::uint32_t rank) {
      TcpTuning tuning;
      tuning.collective = std::nullopt;
      const auto end = nodes.meshes[rank]->connect(nodes.group(rank), problem.plan(), kLong, tuning);
      transports[rank] = end->transport();
      measured[rank] = comm::measure_links(*end);
      for (std::uint32_t round = 0; round < 20; ++round) test::whole_round(*end, problem, round);
      right[rank] = std::ranges::equal(end->result(), problem.total(19));
    });
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      CAPTURE(ranks);
      CHECK(thrown[rank] == "");
      CHECK(right[rank]);
      CHECK(transports[rank].starts_with("tcp"));
      CHECK(transports[rank] == transports[0]);
      CHECK(measured[rank] == measured[0]);
    }
    CHECK(measured[0].exchange > 0);
    CHECK(measured[0].pair > 0);
  }
}

TEST_CASE("tcp: by doubling and the tree too, a peer that vanishes in any phase ends the round everywhere") {
  Problem problem = test::small(4);
  constexpr std::uint32_t kPhases = 4;
  test::Nodes nodes(4);
  std::uint32_t generation = 0;
  for (const Collective collective : {Collective::doubling, Collective::tree}) {
    for (std::uint32_t gone = 0; gone < 4; ++gone) {
      for (std::uint32_t phase = 0; phase < kPhases; ++phase) {
        CAPTURE(name_of(collective));
        CAPTURE(gone);
        CAPTURE(phase);
        ++generation;
        const auto thrown = test::as_threads(4, [&](std::uint32_t rank) {
          TcpTuning tuning;
          tuning.collective = collective;
          auto end = nodes.meshes[rank]->connect(nodes.group(rank, generation), problem.plan(), kLong, tuning);
          if (rank == gone) {
            test::whole_round(*end, problem, 0);
            if (phase >= 1) end->start(0);
            if (phase >= 2) end->start(1);
            if (phase >= 3) end->wait(0);
            return;
          }
          for (std::uint32_t round = 0; round < 3; ++round) test::whole_round(*end, problem, round);
        });
        for (std::uint32_t rank = 0; rank < 4; ++rank) {
          if (rank == gone) continue;
          CHECK(thrown[rank].starts_with("rank "));
        }
      }
    }
  }
}

TEST_CASE("tcp: by doubling and the tree, the rank that died is named, not a neighbour that gave up") {
  const Problem problem = test::small(4);
  test::Nodes nodes(4);
  std::uint32_t generation = 0;
  for (const Collective collective : {Collective::doubling, Collective::tree}) {
    for (std::uint32_t gone = 0; gone < 4; ++gone) {
      CAPTURE(name_of(collective));
      CAPTURE(gone);
      ++generation;
      std::barrier all_know(3);
      const auto thrown = test::as_threads(4, [&](std::uint32_t rank) {
        TcpTuning tuning;
        tuning.collective = collective;
        const auto end = nodes.meshes[rank]->connect(nodes.group(rank, generation), problem.plan(), kLong, tuning);
        test::whole_round(*end, problem, 0);
        if (rank == gone) return;
        CHECK_THROWS_AS(end->take(true), comm::RoundAborted);  // there is no message, and never will be
        all_know.arrive_and_wait();
        test::whole_round(*end, problem, 1);
      });
      for (std::uint32_t rank = 0; rank < 4; ++rank) {
        if (rank == gone) continue;
        CAPTURE(rank);
        CHECK(thrown[rank] == fmt::format("rank {} ({}): closed by peer", gone,
                                          net::to_string(nodes.group(0, 1).members[gone])));
      }
    }
  }
}

TEST_CASE("tcp: by doubling and the tree too, abort ends whoever waits in the middle of a round") {
  const Problem problem = test::small(4);
  for (const Collective collective : {Collective::doubling, Collective::tree}) {
    test::Nodes nodes(4);
    std::promise<void> waits;
    std::thread other([&] {
      waits.get_future().get();
      for (const auto& mesh : nodes.meshes) mesh->abort(1, "the coordinator said so");
    });
    const auto thrown = test::as_threads(4, [&](std::uint32_t rank) {
      TcpTuning tuning;
      tuning.collective = collective;
      const auto end = nodes.meshes[rank]->connect(nodes.group(rank), problem.plan(), kLong, tuning);
      test::whole_round(*end, problem, 0);
      if (rank == 2) {  // alive, but begins nothing
        waits.set_value();
        end->take(true);
        return;
      }
      test::whole_round(*end, problem, 1);
    });
    other.join();
    // Whose connections are dropped first may be named by the others before they are told themselves.
    for (const std::string& what : thrown) CHECK((what == "the coordinator said so" || what.starts_with("rank ")));
  }
}

TEST_CASE("tcp: by the tree, a rank may leave before one without shards has begun the last bucket") {
  Problem problem;
  problem.shards = 1;
  problem.held = {{}, {}, {0}, {}};  // the total goes from rank 2 to 3 and 0, and from 3 to 1
  problem.buckets = {{0, 10}, {10, 20}};
  test::Nodes nodes(4);
  for (std::uint32_t generation = 1; generation <= 20; ++generation) {
    std::promise<void> gone;
    const auto thrown = test::as_threads(4, [&](std::uint32_t rank) {
      TcpTuning tuning;
      tuning.collective = Collective::tree;
      auto end = nodes.meshes[rank]->connect(nodes.group(rank, generation), problem.plan(), kLong, tuning);
      test::contribute(*end, problem, 0);
      end->start(0);
      end->wait(0);
      if (rank == 1) gone.get_future().wait();
      end->start(1);
      end->wait(1);
      if (rank != 0) return;
      end.reset();
      gone.set_value();
    });
    for (const std::string& what : thrown) CHECK(what == "");
  }
}

TEST_CASE("tcp: by doubling and the tree too, a rank may leave when its last round is over") {
  Problem problem = test::small(4);
  test::Nodes nodes(4);
  std::uint32_t generation = 0;
  for (std::uint32_t i = 0; i < 20; ++i) {
    for (const Collective collective : {Collective::doubling, Collective::tree}) {
      ++generation;
      const auto thrown = test::as_threads(4, [&](std::uint32_t rank) {
        TcpTuning tuning;
        tuning.collective = collective;
        const auto end = nodes.meshes[rank]->connect(nodes.group(rank, generation), problem.plan(), kLong, tuning);
        test::whole_round(*end, problem, 0);
      });
      for (const std::string& what : thrown) CHECK(what == "");
    }
  }
}
