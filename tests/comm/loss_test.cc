// SPDX-License-Identifier: MIT
// What ends a group, and what does not.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <array>
#include <future>

#include "base/clock.h"
#include "small.h"

using namespace dl;
using net::Milliseconds;
using test::kLong;
using test::Problem;
using test::small;
using test::whole_round;

namespace {

double seconds_since(std::int64_t begin) { return seconds_between(begin, monotonic_ns()); }

}  // namespace

TEST_CASE("mesh: a peer that vanishes in any phase ends the round everywhere within a second") {
  const Problem problem = small(3);
  constexpr std::uint32_t kPhases = 6;
  test::Nodes tcp(3), shared(3, comm::Transport::automatic);
  for (std::uint32_t i = 0; i < 2 * kPhases; ++i) {
    const test::Nodes& nodes = i % 2 == 0 ? tcp : shared;
    const std::uint32_t phase = i / 2;
    CAPTURE(i);
    std::atomic<std::int64_t> gone = 0;
    std::array<double, 3> after{};
    std::array<bool, 3> aborted{};
    const auto thrown = test::as_threads(3, [&](std::uint32_t rank) {
      auto end = nodes.meshes[rank]->connect(nodes.group(rank, phase + 1), problem.plan(), kLong);
      if (rank == 1) {
        whole_round(*end, problem, 0);
        if (phase >= 1) end->post(test::record_of(problem.record_bytes, 1, rank));
        if (phase >= 2) end->start(0);
        if (phase >= 3) end->start(1);
        if (phase == 4) end->wait(0);
        if (phase == 5) {
          end->wait(0);
          end->wait(1);
          end->collect();
        }
        gone = monotonic_ns();
        end.reset();
        return;
      }
      try {
        for (std::uint32_t round = 0; round < 3; ++round) whole_round(*end, problem, round);
      } catch (const comm::RoundAborted&) {
        aborted[rank] = true;
        after[rank] = gone.load() == 0 ? 0 : seconds_since(gone);
      }
    });
    for (const std::uint32_t rank : {0U, 2U}) {
      CAPTURE(thrown[rank]);
      CHECK(aborted[rank]);
      CHECK(after[rank] < 1.0);
    }
    CHECK(thrown[1] == "");
  }
}

TEST_CASE("mesh: abort from another thread ends whatever waits, at once") {
  const Problem problem = small(2);
  const std::vector<std::string> whats = {"connect", "wait", "collect", "gather"};
  for (std::size_t i = 0; i < 2 * whats.size(); ++i) {
    const std::string what = whats[i / 2];
    const test::Way& way = test::kWays[i % 2];
    CAPTURE(what);
    CAPTURE(way.name);
    test::Nodes nodes(2, way.transport);
    std::promise<void> ready;
    std::thread other([&] {
      ready.get_future().get();
      nodes.meshes[0]->abort(1, "the coordinator said so");
    });
    const auto thrown = test::as_threads(2, [&](std::uint32_t rank) {
      if (rank == 1 && what == "connect") return;
      if (rank == 0 && what == "connect") ready.set_value();
      const auto end = nodes.meshes[rank]->connect(nodes.group(rank), problem.plan(), kLong);
      if (rank == 1) {  // alive, but does not take part
        end->start(0);
        end->wait(0);
        return;
      }
      end->post(Bytes(problem.record_bytes));
      ready.set_value();
      const std::array<std::uint32_t, 2> sizes = {0, 0};
      if (what == "wait") {
        end->start(1);
        end->wait(1);
      } else if (what == "collect") {
        end->collect();
      } else {
        end->gather({}, sizes);
      }
    });
    other.join();
    CHECK(thrown[0] == "the coordinator said so");
    if (what != "connect") CHECK(thrown[1].find("rank 0 (127.0.0.1:") == 0);
    CHECK_THROWS_AS(nodes.meshes[0]->connect(nodes.group(0), problem.plan(), kLong),
                    comm::RoundAborted);
  }
}

TEST_CASE("mesh: a group of one ends by abort too") {
  const Problem problem = small(1);
  test::Nodes node(1);
  const auto end = node.meshes[0]->connect(node.group(0, 4), problem.plan(), kLong);
  whole_round(*end, problem, 0);
  node.meshes[0]->abort(3, "an older one");
  node.loops[0]->call([] {});
  whole_round(*end, problem, 1);
  node.meshes[0]->abort(4, "enough");
  node.loops[0]->call([] {});
  CHECK_THROWS_WITH_AS(end->wait(0), "enough", comm::RoundAborted);
  CHECK_THROWS_AS(end->start(0), comm::RoundAborted);
  CHECK_THROWS_AS(end->collect(), comm::RoundAborted);
}

TEST_CASE("local: abort ends whatever waits") {
  const Problem problem = small(2);
  comm::LocalGroup group(problem.plan());
  const auto thrown = test::as_threads(2, [&](std::uint32_t rank) {
    const auto end = group.rank(rank);
    if (rank == 1) {
      group.abort("enough");
      return;
    }
    whole_round(*end, problem, 0);
  });
  CHECK(thrown[0] == "enough");
}

TEST_CASE("local: a rank that leaves before its parts are added takes them with it") {
  const Problem problem = small(2);
  comm::LocalGroup group(problem.plan());
  const auto stays = group.rank(0);
  group.rank(1)->start(0);
  CHECK_THROWS_WITH_AS(stays->start(0), "rank 1 left in the middle of a round", comm::RoundAborted);
}

TEST_CASE("mesh: ranks that never come are named when patience ends") {
  const Problem problem = small(3);
  test::Nodes nodes(3);
  comm::MeshGroup group = nodes.group(1);
  const std::uint16_t free_port = nodes.meshes[0]->port();
  nodes.meshes[0].reset();
  try {
    nodes.meshes[1]->connect(group, problem.plan(), Milliseconds(150));
    FAIL("it met nobody");
  } catch (const comm::RoundAborted& e) {
    CHECK(std::string(e.what()) ==
          fmt::format("the group of generation 1 did not meet within 0.1 s; rank 0 (127.0.0.1:{}): "
                      "connection refused; rank 2 (127.0.0.1:{}): did not come",
                      free_port, nodes.meshes[2]->port()));
  }
}

TEST_CASE("mesh: a peer that comes before our own start waits for it") {
  const Problem problem = small(2);
  test::Nodes nodes(2);
  std::promise<void> dialled;
  const auto thrown = test::as_threads(2, [&](std::uint32_t rank) {
    comm::MeshGroup group = nodes.group(rank, 2);
    if (rank == 0) {
      // Generation 1 alone first; its peer of generation 2 is at the door meanwhile.
      Problem alone = small(1);
      comm::MeshGroup first = nodes.group(0, 1);
      first.members.resize(1);
      const auto end = nodes.meshes[0]->connect(first, alone.plan(), kLong);
      dialled.get_future().get();
      whole_round(*end, alone, 0);
    } else {
      dialled.set_value();
    }
    const auto end = nodes.meshes[rank]->connect(group, problem.plan(), kLong);
    whole_round(*end, problem, 0);
  });
  CHECK(thrown[0] == "");
  CHECK(thrown[1] == "");
}

TEST_CASE("mesh: a rank may leave when it has given everything, the others end their round") {
  // Rank 1 leaves after each group's only round; nobody may be told that it is lost.
  const Problem problem = small(3);
  test::Nodes tcp(3), shared(3, comm::Transport::automatic);
  for (std::uint32_t i = 2; i <= 81; ++i) {
    const test::Nodes& nodes = i % 2 == 0 ? tcp : shared;
    const auto thrown = test::as_threads(3, [&](std::uint32_t rank) {
      const auto end = nodes.meshes[rank]->connect(nodes.group(rank, i / 2), problem.plan(), kLong);
      whole_round(*end, problem, 0);
    });
    for (const std::string& what : thrown) CHECK(what == "");
  }
}
