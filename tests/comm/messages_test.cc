// SPDX-License-Identifier: MIT
// Messages between two ranks, beside the sums.
#include <doctest/doctest.h>

#include <numeric>

#include "ranks.h"

using namespace dl;

namespace {

constexpr std::uint64_t kMost = 4096;

comm::SumPlan plan_of(std::uint32_t ranks) {
  comm::SumPlan plan;
  plan.shards = ranks;
  for (std::uint32_t r = 0; r < ranks; ++r) plan.parts_of_rank.push_back({{r, r + 1}});
  plan.record_bytes = 8;
  plan.message_bytes = kMost;
  return plan;
}

// Of every rank to every rank, itself included: 100 messages of every length, in two pieces.
std::string all_to_all(comm::Communicator& end) {
  constexpr std::uint64_t kCount = 100;
  const auto content = [](std::uint32_t from, std::uint32_t to, std::uint64_t tag) {
    Bytes bytes((tag * 37 + from * 11 + to) % (kMost + 1));
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i + tag + from + to);
    return bytes;
  };
  for (std::uint64_t tag = 0; tag < kCount; ++tag) {
    for (std::uint32_t to = 0; to < end.size(); ++to) {
      const Bytes bytes = content(end.rank(), to, tag);
      const ByteView all = bytes;
      const ByteView pieces[] = {all.first(all.size() / 3), all.subspan(all.size() / 3)};
      end.send(to, tag, pieces);
    }
  }
  std::vector<std::uint64_t> next(end.size(), 0);
  for (std::uint64_t i = 0; i < kCount * end.size(); ++i) {
    const std::optional<comm::Message> message = end.take(true);
    if (!message) return "it waited, and there was none";
    if (message->tag != next.at(message->from)++) return "out of order";
    if (message->payload != content(message->from, end.rank(), message->tag)) return "other bytes";
  }
  return end.take(false) ? "one more than was sent" : "";
}

}  // namespace

TEST_CASE("messages: what one rank sends to another arrives whole and in order, also among threads") {
  for (const std::uint32_t ranks : {1U, 2U, 4U}) {
    CAPTURE(ranks);
    comm::LocalGroup group(plan_of(ranks));
    std::vector<std::string> said(ranks);
    const auto thrown = test::as_threads(ranks, [&](std::uint32_t rank) {
      const auto end = group.rank(rank);
      said[rank] = all_to_all(*end);
    });
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      CHECK(thrown[rank] == "");
      CHECK(said[rank] == "");
    }
  }
}

TEST_CASE("messages: who waits for one hears that the group is over") {
  comm::LocalGroup group(plan_of(2));
  const auto first = group.rank(0), second = group.rank(1);
  std::thread other([&] { group.abort("the group changes"); });
  CHECK_THROWS_WITH_AS(first->take(true), "the group changes", comm::RoundAborted);
  other.join();
  CHECK_THROWS_AS(first->send(1, 0, {}), comm::RoundAborted);
}

TEST_CASE("messages: one that is longer than the plan allows is not sent") {
  comm::LocalGroup group(plan_of(2));
  const auto end = group.rank(0);
  const Bytes long_one(kMost + 1);
  const ByteView piece = long_one;
  CHECK_THROWS(end->send(1, 0, std::span(&piece, 1)));
}
