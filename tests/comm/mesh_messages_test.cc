// SPDX-License-Identifier: MIT
// Messages over the connections of a mesh, beside sums made over TCP and in shared memory.
#include <doctest/doctest.h>

#include <future>

#include "base/clock.h"
#include "base/error.h"
#include "small.h"

using namespace dl;
using test::kLong;
using test::Problem;
using test::small;

namespace {

constexpr std::uint64_t kMost = std::uint64_t{3} << 20;

comm::SumPlan talking(const Problem& problem) {
  comm::SumPlan plan = problem.plan();
  plan.message_bytes = kMost;
  return plan;
}

// A function of who, to whom and which; one in eight is long.
Bytes content(std::uint32_t from, std::uint32_t to, std::uint64_t tag) {
  Bytes bytes(tag % 8 == 3 ? kMost - tag * 1001 - from : (tag * 377 + from * 11 + to) % 5000);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(i * 7 + (i >> 12) + tag * 13 + from * 3 + to);
  }
  return bytes;
}

void send_all(comm::Communicator& end, std::uint64_t count) {
  for (std::uint64_t tag = 0; tag < count; ++tag) {
    for (std::uint32_t to = 0; to < end.size(); ++to) {
      const Bytes bytes = content(end.rank(), to, tag);
      const ByteView all = bytes;
      const ByteView pieces[] = {all.first(all.size() / 3), {}, all.subspan(all.size() / 3)};
      end.send(to, tag, pieces);
    }
  }
}

std::string take_all(comm::Communicator& end, std::uint64_t count) {
  std::vector<std::uint64_t> next(end.size(), 0);
  for (std::uint64_t i = 0; i < count * end.size(); ++i) {
    const std::optional<comm::Message> message = end.take(true);
    if (!message) return "it waited, and there was none";
    if (message->tag != next.at(message->from)++) return "out of order";
    if (message->payload != content(message->from, end.rank(), message->tag)) return "other bytes";
  }
  return "";
}

void meet(comm::Communicator& end) { end.gather({}, std::vector<std::uint32_t>(end.size(), 0)); }

}  // namespace

TEST_CASE("mesh: a plan that no frame can carry is 64, with the numbers, before anybody is met") {
  test::Nodes nodes(1);
  comm::MeshGroup group = nodes.group(0);
  group.members.push_back({"127.0.0.1", 1});
  const auto refused = [&](const comm::SumPlan& plan) -> std::string {
    try {
      nodes.meshes[0]->connect(group, plan, net::Milliseconds(1));
    } catch (const Error& error) {
      CHECK(error.code() == Exit::usage);
      return error.what();
    } catch (const comm::RoundAborted&) {
    }
    return "";
  };
  comm::SumPlan plan = small(2).plan();
  plan.record_bytes = 66560;
  plan.message_bytes = std::uint64_t{1} << 30;
  CHECK(refused(plan) == "");
  ++plan.message_bytes;
  CHECK(refused(plan).find("the longest message between these 2 nodes has 1073741825 bytes, and 1073741824 is the most") == 0);
  ++plan.record_bytes;
  CHECK(refused(plan).find("a step's record of these 2 shards has 66561 bytes, and nodes send each other 66560 at most") == 0);
}

TEST_CASE("mesh: what no frame takes is gathered in pieces") {
  constexpr std::uint32_t kFrame = 16 << 20;
  const Problem problem = small(3);
  const std::vector<std::uint32_t> sizes = {kFrame + 5, 7, 2 * kFrame};
  const auto value = [](std::uint32_t rank, std::size_t i) { return static_cast<std::byte>(i * 7 + (i >> 11) + rank); };
  test::Nodes nodes(3);
  std::vector<std::string> wrong(3);
  const auto thrown = test::as_threads(3, [&](std::uint32_t rank) {
    const auto end = nodes.meshes[rank]->connect(nodes.group(rank), problem.plan(), kLong);
    Bytes mine(sizes[rank]);
    for (std::size_t i = 0; i < mine.size(); ++i) mine[i] = value(rank, i);
    const ByteView all = end->gather(mine, sizes);
    std::size_t at = 0;
    for (std::uint32_t from = 0; from < 3; ++from) {
      for (std::size_t i = 0; i < sizes[from] && wrong[rank].empty(); ++i, ++at) {
        if (at < all.size() && all[at] == value(from, i)) continue;
        wrong[rank] = "byte " + std::to_string(i) + " of rank " + std::to_string(from);
      }
    }
    if (all.size() != at) wrong[rank] = "another length";
    meet(*end);
  });
  for (std::uint32_t rank = 0; rank < 3; ++rank) {
    CHECK(thrown[rank] == "");
    CHECK(wrong[rank] == "");
  }
}

TEST_CASE("mesh: messages arrive whole and in order, among sums, short ones and megabytes") {
  constexpr std::uint64_t kCount = 24;
  for (const std::uint32_t ranks : {2U, 3U}) {
    const Problem problem = small(ranks);
    for (const test::Way& way : test::kWays) {
      CAPTURE(ranks);
      CAPTURE(way.name);
      test::Nodes nodes(ranks, way.transport);
      std::vector<std::string> said(ranks);
      const auto thrown = test::as_threads(ranks, [&](std::uint32_t rank) {
        const auto end = nodes.meshes[rank]->connect(nodes.group(rank), talking(problem), kLong);
        // One thread sends, one takes, one adds.
        std::thread sender([&] { send_all(*end, kCount); });
        std::thread taker([&] { said[rank] = take_all(*end, kCount); });
        flush_denormals();
        for (std::uint32_t round = 0; round < 5; ++round) {
          test::whole_round(*end, problem, round);
          CHECK(std::ranges::equal(end->result(), problem.total(round)));
        }
        sender.join();
        taker.join();
        if (end->take(false)) said[rank] = "one more than was sent";
        meet(*end);
      });
      CHECK(thrown == std::vector<std::string>(ranks));
      CHECK(said == std::vector<std::string>(ranks));
    }
  }
}

TEST_CASE("mesh: a rank that leaves in order lets out what it has sent") {
  const Problem problem = small(2);
  for (const test::Way& way : test::kWays) {
    CAPTURE(way.name);
    test::Nodes nodes(2, way.transport);
    std::size_t bytes = 0;
    const auto thrown = test::as_threads(2, [&](std::uint32_t rank) {
      auto end = nodes.meshes[rank]->connect(nodes.group(rank), talking(problem), kLong);
      if (rank == 1) {
        const Bytes much(kMost, std::byte{7});
        const ByteView all = much;
        for (std::uint64_t tag = 0; tag < 8; ++tag) end->send(0, tag, std::span(&all, 1));
        return;
      }
      for (std::uint64_t tag = 0; tag < 8; ++tag) {
        const auto message = end->take(true);
        if (message && message->tag == tag) bytes += message->payload.size();
      }
      CHECK_FALSE(end->take(false));
      end->take(true);
    });
    CHECK(bytes == 8 * kMost);
    CHECK(thrown[0].find("rank 1 (127.0.0.1:") == 0);
    CHECK(thrown[0].find("closed by peer") != std::string::npos);
    CHECK(thrown[1] == "");
  }
}

TEST_CASE("mesh: who sends to a rank that is gone, or waits for a message, hears of it") {
  const Problem problem = small(3);
  for (const test::Way& way : test::kWays) {
    CAPTURE(way.name);
    test::Nodes nodes(3, way.transport);
    const auto thrown = test::as_threads(3, [&](std::uint32_t rank) {
      auto end = nodes.meshes[rank]->connect(nodes.group(rank), talking(problem), kLong);
      if (rank == 1) return;
      if (rank == 2) end->take(true);
      const Bytes bytes(1000);
      const ByteView all = bytes;
      for (;;) {
        end->send(1, 0, std::span(&all, 1));
        std::this_thread::yield();
      }
    });
    CHECK(thrown[0].find("rank 1 (127.0.0.1:") == 0);
    CHECK(thrown[1] == "");
    CHECK((thrown[2].find("rank 1 (127.0.0.1:") == 0 || thrown[2].find("rank 0 (127.0.0.1:") == 0));
  }
}

TEST_CASE("mesh: abort wakes who waits for a message, and takes back what has come") {
  const Problem problem = small(2);
  for (const test::Way& way : test::kWays) {
    CAPTURE(way.name);
    test::Nodes nodes(2, way.transport);
    std::promise<void> waits;
    std::thread other([&] {
      waits.get_future().get();
      nodes.meshes[0]->abort(1, "the group changes");
    });
    const auto thrown = test::as_threads(2, [&](std::uint32_t rank) {
      const auto end = nodes.meshes[rank]->connect(nodes.group(rank), talking(problem), kLong);
      if (rank == 0) waits.set_value();
      try {
        end->take(true);
      } catch (const comm::RoundAborted&) {
        if (rank == 1) return;
        end->send(0, 0, {});
      }
    });
    other.join();
    CHECK(thrown[0] == "the group changes");
    CHECK(thrown[1] == "");
  }
}
