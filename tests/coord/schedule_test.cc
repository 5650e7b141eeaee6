// SPDX-License-Identifier: MIT
// Thousands of seeded random schedules: nodes that come, train, freeze and die at every point, with
// messages delivered in any order that connections allow, against what must always be true.
#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "base/rng.h"
#include "transcript.h"

using namespace dl;
using namespace dl::coord;

namespace {

constexpr std::int64_t kLastStep = 12;
constexpr std::int64_t kCheckpointEvery = 5;

struct ServedState {
  std::int64_t step = 0;
};
using ToNode = std::variant<Welcome, Refuse, Pause, SendState, Load, Start, Signal, Goodbye, ServedState>;

struct FakeNode {
  std::deque<ToNode> inbox;
  std::deque<Event> outbox;
  bool frozen = false;
  bool training = false;
  std::uint32_t generation = 0;
  std::uint32_t rank = 0;
  std::int64_t step = -1;
};

// A group's rounds: step s+1 can be applied once every member has posted at step s.
struct Group {
  Start content;
  std::set<std::uint32_t> ranks;
  std::map<std::uint32_t, std::int64_t> posted;  // by rank: the step it stands at
  std::map<std::int64_t, bool> pause_after;      // agreed when rank 0 posted
};

class World {
 public:
  World(std::uint64_t seed, const Plan& plan)
      : rng_(seed, Purpose::test), plan_(plan), coordinator_(plan, 0), kept_(plan.kept_step),
        written_(plan.kept_step) {}

  void run(int chaos, bool stop) {
    const int stop_at = stop ? static_cast<int>(rng_.below(static_cast<std::uint64_t>(chaos))) : -1;
    for (int turn = 0; turn < chaos && !finished_; ++turn) {
      if (turn == stop_at) tell(event::StopAsked{143, "stop", INT64_MAX / 4});  // nobody hangs
      if (rng_.below(25) == 0) disturb();
      if (nodes_.size() < 4 && rng_.below(12) == 0) arrive();
      advance();
    }
    for (int turn = 0; turn < 20000 && !finished_; ++turn) {
      if (nodes_.size() < std::max(plan_.nodes, plan_.min_nodes)) arrive();
      advance();
    }
    REQUIRE(finished_);
    if (code_ == 0) {
      CHECK(written_ == kLastStep);
    } else {
      CHECK(code_ == 143);
      CHECK(stop);
      CHECK((kept_ <= 0 || written_ == kept_));
    }
  }

 private:
  void arrive() {
    const NodeId id = ++last_id_;
    nodes_[id].outbox.push_back(event::Arrived{
        id, "10.0.0.1", "10.0.0.9", Hello{.protocol = kProtocol, .version = "dl 1", .host = "h", .pid = id, .threads = 1 + id % 3, .kernel = "", .mesh_port = 1}});
  }

  NodeId any_node() {
    auto at = nodes_.begin();
    std::advance(at, static_cast<std::ptrdiff_t>(rng_.below(nodes_.size())));
    return at->first;
  }

  void disturb() {
    if (rng_.below(6) == 0) {
      tell(event::CheckpointAsked{});
      return;
    }
    if (nodes_.empty()) return;
    const NodeId id = any_node();
    if (rng_.below(3) == 0) {
      nodes_[id].frozen = true;
      return;
    }
    // What the dead one said last may or may not arrive.
    FakeNode& node = nodes_[id];
    node.outbox.resize(rng_.below(node.outbox.size() + 1));
    while (nodes_.contains(id) && !node.outbox.empty() && !finished_) deliver(id);
    if (!nodes_.contains(id)) return;  // the coordinator let go of it first
    nodes_.erase(id);
    tell(event::Lost{id, "killed"});
  }

  void advance() {
    switch (rng_.below(10)) {
      case 0:
        now_ += 400'000'000;
        for (auto& [id, node] : nodes_) {
          if (!node.frozen && node.step >= -1) node.outbox.push_back(event::Said{id, Heartbeat{}});
        }
        // The server hears heartbeats before it counts silence.
        for (const auto& [id, node] : std::map(nodes_)) {
          while (nodes_.contains(id) && !nodes_[id].outbox.empty() && !finished_) deliver(id);
        }
        tell(event::Tick{});
        return;
      case 1:
        if (!writes_.empty()) {
          const event::Written done = writes_.front();
          writes_.pop_front();
          tell(done);
        }
        return;
      default: break;
    }
    if (nodes_.empty()) return;
    const NodeId id = any_node();
    FakeNode& node = nodes_[id];
    const std::uint64_t what = rng_.below(3);
    if (what == 0) deliver(id);
    if (!nodes_.contains(id) || node.frozen) return;
    if (what == 1 && !node.inbox.empty()) {
      const ToNode message = std::move(node.inbox.front());
      node.inbox.pop_front();
      std::visit([&](const auto& m) { hear(id, node, m); }, message);
    }
    if (what == 2 && node.training) train(id, node);
  }

  void deliver(NodeId id) {
    FakeNode& node = nodes_[id];
    if (node.outbox.empty()) return;
    const Event event = std::move(node.outbox.front());
    node.outbox.pop_front();
    if (const auto* said = std::get_if<event::Said>(&event)) {
      if (const auto* paused = std::get_if<Paused>(&said->message)) {
        paused_[id] = *paused;
      }
      if (const auto* loaded = std::get_if<Loaded>(&said->message)) loaded_[id] = loaded->generation;
    }
    if (std::holds_alternative<event::StateCame>(event)) arrived_ = std::get<event::StateCame>(event).step;
    tell(event);
  }

  void say(NodeId id, decltype(event::Said::message) message) {
    nodes_[id].outbox.push_back(event::Said{id, std::move(message)});
  }

  // The node's side.
  void hear(NodeId id, FakeNode&, const Welcome&) { say(id, Ready{"m", 10, "defined", 1e9 * (1 + id % 3)}); }
  void hear(NodeId id, FakeNode&, const Refuse&) { gone_.insert(id); }
  void hear(NodeId id, FakeNode&, const Goodbye&) { gone_.insert(id); }
  void hear(NodeId id, FakeNode& node, const Pause& m) {
    node.training = false;
    say(id, Paused{m.generation, node.step});
  }
  void hear(NodeId id, FakeNode& node, const SendState&) {
    REQUIRE_FALSE(node.training);
    node.outbox.push_back(event::StateCame{id, static_cast<std::uint64_t>(node.step), StateReason::asked});
  }
  void hear(NodeId id, FakeNode& node, const Load& m) {
    REQUIRE_FALSE(node.training);
    say(id, Loaded{m.generation});
  }
  void hear(NodeId, FakeNode& node, const ServedState& m) {
    REQUIRE_FALSE(node.training);
    node.step = m.step;
  }
  void hear(NodeId, FakeNode&, const Signal& m) { signals_ |= m.bits; }
  void hear(NodeId id, FakeNode& node, const Start& m) {
    if (node.step == -1 && m.step == 0) node.step = 0;
    REQUIRE(node.step == static_cast<std::int64_t>(m.step));  // everyone begins with the same state
    node.training = true;
    node.generation = m.generation;
    node.rank = m.rank;
    if (m.rank == 0) signals_ = 0;
    if (node.step == kLastStep) end(id, node);
  }

  void train(NodeId id, FakeNode& node) {
    Group& group = groups_.at(node.generation);
    group.posted[node.rank] = node.step;
    if (node.rank == 0 && !group.pause_after.contains(node.step + 1)) {
      group.pause_after[node.step + 1] = (signals_ & Signal::kPause) != 0;
    }
    if (group.posted.size() < group.content.members.size()) return;
    for (const auto& [rank, step] : group.posted) {
      if (step < node.step) return;
    }
    ++node.step;
    if (node.rank == 0) {
      say(id, Progress{static_cast<std::uint64_t>(node.step), 0, 0, 0, 0, 0, 0});
      Pace pace;
      pace.generation = node.generation;
      pace.step = static_cast<std::uint64_t>(node.step);
      pace.step_seconds = 100;  // seconds, so that moves are worth their cost
      for (std::size_t r = 0; r < group.content.members.size(); ++r) {
        pace.ranks.push_back({1.0 + static_cast<double>(rng_.below(99)), 0});
      }
      say(id, pace);
      if (node.step % kCheckpointEvery == 0) {
        node.outbox.push_back(event::StateCame{id, static_cast<std::uint64_t>(node.step), StateReason::checkpoint});
      }
    }
    if (node.step == kLastStep) {
      end(id, node);
    } else if (group.pause_after.at(node.step)) {
      node.training = false;
      say(id, Paused{node.generation, node.step});
    }
  }

  void end(NodeId id, FakeNode& node) {
    node.training = false;
    const auto step = static_cast<std::uint64_t>(node.step);
    if (node.rank == 0) node.outbox.push_back(event::StateCame{id, step, StateReason::final_state});
    say(id, Done{step, "sha",
                 node.rank == 0 ? R"({"epochs":1,"steps":12,"samples":1,"seconds":1,"samples_per_second":1,"train_loss":0})" : ""});
  }

  // The server's side, and what must be true of every action.
  void tell(const Event& event) {
    const std::uint32_t before = coordinator_.generation();
    for (const Action& action : coordinator_.on(now_, event)) {
      REQUIRE_FALSE(finished_);
      std::visit([&](const auto& a) { act(a); }, action);
    }
    REQUIRE(coordinator_.generation() >= before);
    while (!own_.empty()) {
      const Event next = std::move(own_.front());
      own_.pop_front();
      tell(next);
    }
    for (const NodeId id : gone_) nodes_.erase(id);
    gone_.clear();
  }

  void act(const action::Send& a) {
    if (const auto* start = std::get_if<Start>(&a.message)) check(a.node, *start);
    if (const auto* load = std::get_if<Load>(&a.message)) loads_[a.node] = *load;
    const auto found = nodes_.find(a.node);
    if (found == nodes_.end()) return;
    std::visit([&](const auto& m) { found->second.inbox.push_back(m); }, a.message);
  }
  void act(const action::Close& a) { gone_.insert(a.node); }
  void act(const action::Keep&) {
    REQUIRE(static_cast<std::int64_t>(arrived_) >= kept_);
    kept_ = static_cast<std::int64_t>(arrived_);
  }
  void act(const action::Serve& a) {
    served_[a.node] = kept_;
    if (nodes_.contains(a.node)) nodes_[a.node].inbox.push_back(ServedState{kept_});
  }
  void act(const action::Write& a) {
    REQUIRE(static_cast<std::int64_t>(a.step) == kept_);
    writes_.push_back({a.step, a.reason, "file"});
  }
  void act(const action::Announce& a) {
    if (a.json["event"] != "checkpoint") return;
    const auto step = a.json["step"].get<std::int64_t>();
    REQUIRE(step >= written_);  // never older than the last one announced
    written_ = step;
  }
  void act(const action::Record& a) {
    if (rng_.below(8) == 0) {
      own_.push_back(event::NotRecorded{a.generation, "disk full"});
    } else {
      recorded_ = a.generation;
      own_.push_back(event::Recorded{a.generation});
    }
  }
  void act(const action::Live&) {}
  void act(const action::Append&) {}
  void act(const action::Finish& a) {
    finished_ = true;
    code_ = a.code;
    for (const auto& [id, node] : nodes_) {
      REQUIRE((node.frozen || node.step <= std::max<std::int64_t>(kept_, 0)));  // nothing is thrown away
    }
  }

  void check(NodeId id, const Start& start) {
    REQUIRE(start.generation == coordinator_.generation());
    REQUIRE(start.generation == recorded_);
    REQUIRE(paused_.contains(id));
    REQUIRE(paused_[id].generation == start.generation);
    REQUIRE(loads_[id].generation == start.generation);  // everyone holds its shards by now
    REQUIRE(loaded_[id] == start.generation);
    for (std::uint32_t shard = 0, next = 0; shard < start.owner.size(); ++shard) {
      if (start.owner[shard] == start.rank || plan_.deals_blocks()) {
        REQUIRE(loads_[id].shards.items().at(next++) == shard);
      }
    }
    REQUIRE(start.blocks.size() == plan_.blocks.flops.size());
    std::set<std::uint32_t> with_blocks(start.blocks.begin(), start.blocks.end());
    if (plan_.deals_blocks()) {  // everyone has some, and nobody else
      REQUIRE(with_blocks.size() == start.members.size());
      REQUIRE(*with_blocks.rbegin() < start.members.size());
    }
    const auto step = static_cast<std::int64_t>(start.step);
    REQUIRE(step >= std::max<std::int64_t>(kept_, 0));
    REQUIRE(step >= paused_[id].step);  // the highest wins
    const bool has_it = paused_[id].step == step || (step == 0 && paused_[id].step == -1);
    REQUIRE((has_it || served_[id] == step));
    REQUIRE(start.owner.size() == plan_.shard_samples.size());
    for (const std::uint32_t rank : start.owner) REQUIRE(rank < start.members.size());
    const auto [at, fresh] = groups_.try_emplace(start.generation, Group{start, {}, {}, {}});
    REQUIRE(at->second.content.step == start.step);
    REQUIRE(at->second.content.owner == start.owner);
    REQUIRE(std::ranges::equal(at->second.content.blocks, start.blocks));
    REQUIRE(at->second.content.members.size() == start.members.size());
    REQUIRE(at->second.ranks.insert(start.rank).second);
    REQUIRE(start.rank < start.members.size());
  }

  Rng rng_;
  Plan plan_;
  Coordinator coordinator_;
  std::int64_t now_ = 0;
  NodeId last_id_ = 0;
  std::map<NodeId, FakeNode> nodes_;
  std::set<NodeId> gone_;
  std::map<std::uint32_t, Group> groups_;
  std::map<NodeId, Paused> paused_;
  std::map<NodeId, Load> loads_;
  std::map<NodeId, std::uint32_t> loaded_;
  std::map<NodeId, std::int64_t> served_;
  std::deque<event::Written> writes_;
  std::deque<Event> own_;  // what the server tells of what it was asked to do
  std::uint32_t recorded_ = 0;
  std::uint64_t arrived_ = 0;
  std::uint32_t signals_ = 0;
  std::int64_t kept_, written_;
  bool finished_ = false;
  int code_ = -1;
};

}  // namespace

TEST_CASE("coordinator: any schedule of losses and joins keeps the promises, and the run ends") {
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    CAPTURE(seed);
    Plan plan = test::plan();
    plan.nodes = static_cast<std::uint32_t>(1 + seed % 3);
    plan.min_nodes = static_cast<std::uint32_t>(1 + seed / 3 % 2);
    plan.wait_ns = 1'000'000'000'000;
    plan.assignment = seed % 2 == 0 ? Assignment::adaptive : Assignment::balanced;
    if (seed % 5 == 0) plan.kept_step = 5;
    if (seed % 7 == 0) {  // fewer blocks than there may be nodes
      plan.blocks = {.common_flops = 1, .flops = {1, 2, 3}, .part_bytes = 1};
      plan.assignment = seed % 2 == 0 ? Assignment::random : Assignment::balanced;
    }
    World(seed, plan).run(static_cast<int>(100 + seed % 700), false);
  }
}

TEST_CASE("coordinator: a stop at any point of any schedule ends the run with what is newest saved") {
  for (std::uint64_t seed = 10000; seed < 12000; ++seed) {
    CAPTURE(seed);
    Plan plan = test::plan();
    plan.nodes = static_cast<std::uint32_t>(1 + seed % 3);
    plan.wait_ns = 1'000'000'000'000;
    plan.assignment = seed % 2 == 0 ? Assignment::adaptive : Assignment::balanced;
    World(seed, plan).run(static_cast<int>(100 + seed % 700), true);
  }
}
