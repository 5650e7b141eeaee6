// SPDX-License-Identifier: MIT
// Collectives that go from rank to rank, without sockets: thousands of orders in which frames may leave and come.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstring>
#include <deque>
#include <map>
#include <utility>

#include "base/error.h"
#include "comm/collective.h"
#include "comm/flow.h"
#include "ranks.h"

using namespace dl;
using comm::Collective;
using comm::Flow;
using comm::FlowPlan;
using comm::Schedule;
using test::Problem;

namespace {

constexpr std::uint64_t kElements = 3;

// All ranks of a slice, whatever order the seed gives. Data is read when a send goes out, not when it was asked for,
// and a place is spoiled as soon as a frame for it begins to come: what is reused too early shows.
class World {
 public:
  World(const Problem& problem, Collective collective, std::uint64_t seed)
      : problem_(problem), parts_(problem.plan()), rng_(seed, Purpose::test, problem.shards, problem.ranks()) {
    for (std::uint32_t r = 0; r < problem.ranks(); ++r) {
      plans_.emplace_back(collective == Collective::doubling ? doubling_schedule(problem.shards, parts_, r)
                                                             : tree_schedule(problem.shards, parts_, r));
    }
    for (std::uint32_t r = 0; r < problem.ranks(); ++r) {
      Rank& rank = ranks_.emplace_back(plans_[r]);
      rank.parts.resize(parts_.count(r));
      rank.result.resize(kElements);
      for (auto& slots : rank.slots) slots.assign(plans_[r].slots(), std::vector<float>(kElements));
    }
  }

  // "" where every rank has all rounds' bits.
  std::string run(std::uint32_t rounds) {
    for (;;) {
      std::vector<std::function<void()>> possible;
      for (std::uint32_t r = 0; r < ranks_.size(); ++r) {
        if (ranks_[r].flow.over() && ranks_[r].checked < rounds) possible.push_back([this, r, rounds] { next(r, rounds); });
      }
      for (auto& [link, wire] : wires_) {
        if (!wire.to_write.empty()) possible.push_back([this, &link = link, &wire = wire] { write(link, wire); });
        if (!wire.frames.empty()) possible.push_back([this, &link = link, &wire = wire] { deliver(link, wire); });
      }
      if (!said.empty()) return said;
      if (possible.empty()) break;
      possible[rng_.below(static_cast<std::uint32_t>(possible.size()))]();
    }
    for (std::uint32_t r = 0; r < ranks_.size(); ++r) {
      if (ranks_[r].checked != rounds) return fmt::format("rank {} stands in round {}", r, ranks_[r].flow.round());
    }
    return said;
  }

  std::uint64_t early = 0;  // frames that came before their rank had begun the round

 private:
  struct Rank {
    explicit Rank(const FlowPlan& plan) : flow(plan) {}
    Flow flow;
    std::uint32_t checked = 0;
    std::vector<std::vector<float>> parts;
    std::vector<float> result;
    std::array<std::vector<std::vector<float>>, 2> slots;
  };
  struct Frame {
    std::uint32_t tag = 0;
    std::uint64_t round = 0;
    std::vector<float> floats;
    bool begun = false;
  };
  struct Wire {
    std::deque<std::uint32_t> to_write;  // sends
    std::deque<Frame> frames;
  };
  using Link = std::pair<std::uint32_t, std::uint32_t>;

  std::vector<float>& at(std::uint32_t r, std::uint32_t value, std::uint64_t round) {
    const Schedule& schedule = plans_[r].schedule();
    const Schedule::Value& v = schedule.values[value];
    Rank& rank = ranks_[r];
    switch (v.where) {
      case Schedule::Where::part: return rank.parts[v.index];
      case Schedule::Where::result: return rank.result;
      case Schedule::Where::slot: return rank.slots[schedule.twice[v.index] ? round % 2 : 0][v.index];
      case Schedule::Where::ready: break;
    }
    nothing_.clear();
    return nothing_;
  }

  void next(std::uint32_t r, std::uint32_t rounds) {
    Rank& rank = ranks_[r];
    if (rank.flow.round() > 0) {
      const auto total = problem_.total(static_cast<std::uint32_t>(rank.flow.round()));
      if (std::memcmp(total.data(), rank.result.data(), kElements * sizeof(float)) != 0) {
        said = fmt::format("rank {} has other bits in round {}", r, rank.flow.round());
      }
      if (++rank.checked == rounds) return;
    }
    rank.parts = problem_.parts(static_cast<std::uint32_t>(rank.flow.round()) + 1, r);
    rank.flow.begin();
    pump(r);
  }

  void pump(std::uint32_t r) {
    const Schedule& schedule = plans_[r].schedule();
    Flow& flow = ranks_[r].flow;
    while (const auto sum = flow.next_sum()) {
      const auto [left, right, to] = schedule.sums[*sum];
      for (std::uint64_t i = 0; i < kElements; ++i) {
        const float first = at(r, left, flow.round())[i];
        at(r, to, flow.round())[i] = right == comm::kNoValue ? first : first + at(r, right, flow.round())[i];
      }
    }
    while (const auto send = flow.next_send()) wires_[{r, schedule.sends[*send].to}].to_write.push_back(*send);
  }

  void write(const Link& link, Wire& wire) {
    const std::uint32_t send = wire.to_write.front();
    wire.to_write.pop_front();
    Flow& flow = ranks_[link.first].flow;
    const Schedule::Send& what = plans_[link.first].schedule().sends[send];
    wire.frames.push_back({what.tag, flow.round(), at(link.first, what.value, flow.round())});
    flow.sent(send);
  }

  void deliver(const Link& link, Wire& wire) {
    Frame& frame = wire.frames.front();
    Flow& flow = ranks_[link.second].flow;
    const auto receive = flow.expects(link.first, frame.tag, frame.round);
    if (!receive) {
      said = fmt::format("rank {} does not take tag {} of round {} in round {}", link.second, frame.tag, frame.round,
                         flow.round());
      return;
    }
    std::vector<float>& place = at(link.second, plans_[link.second].schedule().receives[*receive].value, frame.round);
    if (!std::exchange(frame.begun, true)) {
      if (frame.round > flow.round()) ++early;
      std::ranges::fill(place, std::nanf(""));
      return;
    }
    std::ranges::copy(frame.floats, place.begin());
    flow.arrived(*receive);
    wire.frames.pop_front();
    pump(link.second);
  }

  const Problem problem_;
  const comm::Parts parts_;
  Rng rng_;
  std::vector<FlowPlan> plans_;
  std::vector<Rank> ranks_;
  std::map<Link, Wire> wires_;
  std::vector<float> nothing_;
  std::string said;
};

// Checks so many orders; how many frames came early in all of them.
std::uint64_t check_orders(const Problem& problem, Collective collective, std::uint64_t seeds) {
  std::uint64_t early = 0;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    World world(problem, collective, seed);
    const std::string said = world.run(5);
    early += world.early;
    if (said.empty()) continue;
    CAPTURE(seed);
    CHECK(said == "");
    break;
  }
  return early;
}

// Ranks hold ranges of equal size, in the order given.
Problem aligned(const std::vector<std::uint32_t>& order, std::uint32_t each) {
  Problem problem;
  problem.shards = static_cast<std::uint32_t>(order.size()) * each;
  for (const std::uint32_t place : order) {
    std::vector<std::uint32_t>& held = problem.held.emplace_back();
    for (std::uint32_t i = 0; i < each; ++i) held.push_back(place * each + i);
  }
  problem.buckets = {{0, kElements}};
  return problem;
}

bool fits(Collective collective, const Problem& problem) {
  return possible(collective, problem.shards, problem.plan().parts_of_rank);
}

}  // namespace

TEST_CASE("collective: doubling ends with the serial sum's bits in every order, ranks in any order") {
  std::uint64_t early = 0;
  for (const std::vector<std::uint32_t>& order : std::vector<std::vector<std::uint32_t>>{
           {0, 1}, {1, 0}, {0, 1, 2, 3}, {2, 0, 3, 1}, {3, 2, 1, 0}, {5, 2, 7, 0, 1, 3, 6, 4}}) {
    for (const std::uint32_t each : {1U, 2U}) {
      const Problem problem = aligned(order, each);
      CAPTURE(order.size());
      REQUIRE(fits(Collective::doubling, problem));
      early += check_orders(problem, Collective::doubling, 60);
    }
  }
  CHECK(early > 100);
}

TEST_CASE("collective: the tree ends with the serial sum's bits in every order, ragged and empty shares too") {
  std::uint64_t early = 0;
  std::uint32_t checked = 0;
  for (std::uint32_t ranks = 2; ranks <= 7; ++ranks) {
    for (const std::uint32_t shards : {1U, 2U, 3U, 7U, 8U, 12U}) {
      for (std::uint64_t deal = 0; deal < 3; ++deal) {
        Problem problem = test::dealt(shards, ranks, deal);
        problem.buckets = {{0, kElements}};
        if (!fits(Collective::tree, problem)) continue;
        CAPTURE(ranks);
        CAPTURE(shards);
        CAPTURE(deal);
        early += check_orders(problem, Collective::tree, 12);
        ++checked;
      }
    }
  }
  CHECK(checked > 90);
  CHECK(early > 100);
}

TEST_CASE("collective: doubling is possible for one part each, as many as a power of two, equally deep") {
  CHECK(fits(Collective::doubling, aligned({0, 1}, 4)));
  CHECK_FALSE(fits(Collective::doubling, aligned({0, 1, 2}, 2)));
  Problem problem = aligned({0, 1}, 4);
  std::swap(problem.held[0][0], problem.held[1][0]);
  CHECK_FALSE(fits(Collective::doubling, problem));  // ragged
  problem.held = {{0, 1, 2, 3, 4, 5, 6, 7}, {}};
  CHECK_FALSE(fits(Collective::doubling, problem));  // nothing on one
  problem.shards = 5;
  problem.held = {{0}, {1}, {2, 3}, {4}};
  CHECK_FALSE(fits(Collective::doubling, problem));  // one part each, but not of one depth
  problem.held = {{0, 1, 2, 3}, {4}};
  CHECK(fits(Collective::doubling, problem));
}

TEST_CASE("collective: the tree is possible up to four parts a rank, and for some part at all") {
  CHECK(fits(Collective::tree, test::dealt(3, 5, 1)));
  CHECK_FALSE(fits(Collective::tree, test::dealt(0, 2, 1)));
  Problem problem;
  problem.shards = 8;
  problem.held = {{0, 2, 4, 6}, {1, 3, 5, 7}};
  CHECK(fits(Collective::tree, problem));
  problem.shards = 10;
  problem.held = {{0, 2, 4, 6, 8}, {1, 3, 5, 7, 9}};
  CHECK_FALSE(fits(Collective::tree, problem));
}

TEST_CASE("collective: a frame is taken once, one round ahead, and not before its place is free") {
  const comm::Parts parts(aligned({0, 1, 2, 3}, 1).plan());
  const FlowPlan plan(doubling_schedule(4, parts, 0));
  Flow flow(plan);
  CHECK_FALSE(flow.expects(1, 0, 0));
  CHECK_FALSE(flow.expects(1, 0, 2));
  CHECK_FALSE(flow.expects(1, 1, 1));  // the partner of the first round has no part in the second
  CHECK_FALSE(flow.expects(3, 0, 1));
  flow.arrived(flow.expects(1, 0, 1).value());  // ahead
  CHECK_FALSE(flow.expects(1, 0, 1));           // twice
  CHECK_FALSE(flow.expects(1, 0, 2));           // two ahead
  CHECK_FALSE(flow.next_sum());
  flow.begin();
  CHECK_THROWS_AS(flow.begin(), Error);
  CHECK(flow.needs(1));
  CHECK(flow.next_send() == 0U);
  CHECK(flow.next_sum() == 0U);
  CHECK(flow.next_send() == 1U);
  CHECK_FALSE(flow.next_send());
  flow.arrived(flow.expects(1, 0, 2).value());  // into the other place: the sum in this one waits to be sent
  CHECK_FALSE(flow.expects(1, 0, 3));
  flow.sent(0);
  CHECK_FALSE(flow.needs(1));
  flow.arrived(flow.expects(2, 1, 1).value());
  CHECK_FALSE(flow.expects(2, 1, 2));  // the only place, and it is not added yet
  CHECK(flow.next_sum() == 1U);
  CHECK(flow.expects(2, 1, 2));
  CHECK(flow.needs(2));
  CHECK_FALSE(flow.over());
  flow.sent(1);
  CHECK(flow.over());
  CHECK_FALSE(flow.needs(2));
}
