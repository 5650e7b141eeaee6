// SPDX-License-Identifier: MIT
// Over 400 lines because it has both threads of one process, whose state they share, and its place in the mesh.
// A node's process: an I/O side that hears at once, and a training side that takes its time. What it owes the
// coordinator stands in coord/client.h; what it does in a round, in train/sync.cc.
#include "simulation.h"

namespace dl::test {

using namespace coord;

namespace {

constexpr std::int64_t kLastStep = 30, kCheckpointEvery = 7;
constexpr std::int64_t kSilence = 10'000 * kMs;  // of the coordinator, until it is given up
constexpr std::int64_t kMeshPatience = 10'000 * kMs;  // with peers that do not come

}  // namespace

void Simulation::arrive() {
  const Process process = ++last_process_;
  nodes_[process].process = process;
  dial(process);
  beat(process);
}

void Simulation::dial(Process process) {
  arrives(process, [this, process](Node& node) {
    if (node.id != 0) return;
    if (!coordinator_ || frozen_) {
      time_.after(between(50, 500), [this, process] { dial(process); });
      return;
    }
    node.id = ++last_id_;
    node.heard = time_.now();
    node.up = std::make_shared<SimulatedLine>(time_, rng_);
    node.down = std::make_shared<SimulatedLine>(time_, rng_);
    peers_[node.id] = process;
    Hello hello{.protocol = kProtocol, .version = "dl 1", .host = "h", .pid = process, .threads = 1U + process % 3, .kernel = "", .mesh_port = process};
    say(node, hello);
  });
}

void Simulation::beat(Process process) {
  if (!nodes_.contains(process)) return;
  time_.after(500 * kMs, [this, process] { beat(process); });
  Node& node = nodes_.at(process);
  if (node.stopped || node.id == 0) return;
  if (time_.now() - node.heard > kSilence) {
    const NodeId id = node.id;
    node.up->cut([this, id] { serve(id, [this, id] { lost(id); }); });
    hear(node, Closed{});
    return;
  }
  say(node, Words{Heartbeat{node.progress}});
}

void Simulation::say(Node& node, FromNode message) {
  if (node.id == 0) return;
  const NodeId id = node.id;
  const bool twice = !std::holds_alternative<Hello>(message) && chance(60);
  if (twice) ++tally_.doubled;
  for (int i = 0; i < (twice ? 2 : 1); ++i) {
    node.up->send([this, id, message] { serve(id, [this, id, message] { hear(id, message); }); });
  }
}

// As soon as the process runs.
void Simulation::arrives(Process process, std::function<void(Node&)> what) {
  const auto found = nodes_.find(process);
  if (found == nodes_.end()) return;
  if (!found->second.stopped) {
    what(found->second);
    return;
  }
  found->second.held.push_back([this, process, what] { arrives(process, what); });
}

// The I/O thread: what cannot wait for the training thread happens here.
void Simulation::hear(Node& node, ToNode message) {
  node.heard = time_.now();
  if (std::holds_alternative<Heartbeat>(message)) return;
  if (const auto* pause = std::get_if<Pause>(&message)) node.aborted = std::max(node.aborted, pause->generation - 1);
  if (const auto* start = std::get_if<Start>(&message)) node.started = std::max(node.started, start->generation);
  if (std::holds_alternative<Closed>(message)) {
    node.aborted = std::max(node.aborted, node.started);
    node.id = 0;
  }
  if (node.group && node.group->start.generation <= node.aborted) node.group->broken = true;
  node.mailbox.push_back(std::move(message));
  stir(node.process);
}

void Simulation::stir(Process process) {
  const auto found = nodes_.find(process);
  if (found == nodes_.end() || std::exchange(found->second.working, true)) return;
  time_.after(between(1, chance(20) ? 600 : 60), [this, process] {
    arrives(process, [this](Node& node) {
      node.working = false;
      work(node);
    });
  });
}

// The training thread does one thing.
void Simulation::work(Node& node) {
  const Process process = node.process;
  ++node.progress;
  if (node.group) {
    if (work_in_group(node)) stir(process);
    return;
  }
  if (node.leaving) {
    say(node, Words{Goodbye{143, "left"}});
    process_ends(process, false);
    return;
  }
  if (node.mailbox.empty()) return;
  const ToNode message = std::move(node.mailbox.front());
  node.mailbox.pop_front();
  handle(node, message);
  stir(process);
}

// Whether there may be more to do.
bool Simulation::work_in_group(Node& node) {
  const std::uint32_t generation = node.group->start.generation;
  if (node.group->broken) {
    const std::vector<std::uint32_t> unmet = node.group->unmet;
    leave_group(node, true);
    if (!node.mailbox.empty()) return true;
    if (!unmet.empty()) ++tally_.unmet;
    Paused message = paused(node, generation);
    message.reason = unmet.empty() ? "a peer is gone" : "did not meet";
    for (const std::uint32_t rank : unmet) message.unmet.push_back(rank);
    say(node, Words{message});
    return true;
  }
  if (!node.group->posted) {
    std::uint32_t bits = node.leaving ? Signal::kPause | Signal::kCheckpoint : 0;
    while (!node.mailbox.empty()) {
      const auto* signal = std::get_if<Signal>(&node.mailbox.front());
      if (signal == nullptr) {  // what cannot wait for the end of the step
        leave_group(node, true);
        return true;
      }
      bits |= signal->bits;
      node.mailbox.pop_front();
    }
    post(node, bits);
    return true;
  }
  const auto still_comes = [&](const auto& came) {
    for (const std::uint32_t rank : node.group->gone) {
      if (!came.contains(rank)) return false;
    }
    return true;
  };
  if (node.group->mirroring) {
    const auto& came = node.group->mirrored[node.state->step()];
    if (came.size() == node.group->start.members.size()) {
      end_mirror(node);
      return true;
    }
    node.group->broken = !still_comes(came);
    return node.group->broken;
  }
  const std::int64_t next = node.state->step() + 1;
  const auto& came = node.group->came[next];
  if (came.size() == node.group->start.members.size()) {
    apply(node);
    return true;
  }
  node.group->broken = !still_comes(came);
  return node.group->broken;
}

void Simulation::handle(Node& node, ToNode message) {
  if (std::holds_alternative<Welcome>(message)) {
    say(node, Words{Ready{"m", 10, "defined", 1e9 * (1 + node.process % 3)}});
  } else if (const auto* pause = std::get_if<Pause>(&message)) {
    say(node, Words{paused(node, pause->generation)});
  } else if (std::holds_alternative<SendState>(message)) {
    if (!node.state) breach("a node that has no state is asked for it");
    say(node, SentState{StateReason::asked, *node.state});
  } else if (const auto* load = std::get_if<Load>(&message)) {
    say(node, Words{Loaded{load->generation}});
  } else if (const auto* state = std::get_if<SimulatedState>(&message)) {
    node.state = *state;
  } else if (const auto* start = std::get_if<Start>(&message)) {
    enter(node, *start);
  } else if (std::holds_alternative<Refuse>(message)) {
    breach("a node is refused");
  } else if (std::holds_alternative<Goodbye>(message)) {
    process_ends(node.process, false);
  } else if (std::holds_alternative<Closed>(message)) {
    node.mailbox.clear();
    time_.after(between(1, 500), [this, process = node.process] { dial(process); });
  }
}

Paused Simulation::paused(const Node& node, std::uint32_t generation) const {
  return {generation, node.state ? node.state->step() : -1};
}

void Simulation::enter(Node& node, const Start& start) {
  if (!node.state && start.step == 0) node.state.emplace();
  if (!node.state || node.state->step() != static_cast<std::int64_t>(start.step)) {
    breach(fmt::format("generation {} starts at step {}, process {} stands at {}", start.generation, start.step,
                       node.process, paused(node, 0).step));
  }
  if (mirror_every_ > 0) node.mirror = node.state;  // nobody lacks anything now
  node.mirror_in_parts = false;
  node.group.emplace().start = start;
  node.group->broken = start.generation <= node.aborted;
  for (Contribution& contribution : std::exchange(node.early, {})) {
    if (contribution.generation >= start.generation) take(node, std::move(contribution));
  }
  meet(node);
  if (node.state->step() == kLastStep) say_done(node);
}

// Whom it does not hear now, and not until its patience ends, it has not met.
void Simulation::meet(Node& node) {
  std::vector<std::uint32_t> away;
  const auto& members = node.group->start.members;
  for (std::uint32_t rank = 0; rank < members.size(); ++rank) {
    if (parted(node.process, members[rank].port)) away.push_back(rank);
  }
  if (away.empty()) return;
  time_.after(kMeshPatience, [this, process = node.process, generation = node.group->start.generation, away] {
    arrives(process, [this, generation, away](Node& late) {
      if (!late.group || late.group->start.generation != generation) return;
      for (const std::uint32_t rank : away) {
        if (parted(late.process, late.group->start.members[rank].port)) late.group->unmet.push_back(rank);
      }
      if (late.group->unmet.empty()) return;
      late.group->broken = true;
      stir(late.process);
    });
  });
}

void Simulation::post(Node& node, std::uint32_t bits) {
  const Start& start = node.group->start;
  node.group->posted = true;
  Contribution own{start.generation, start.rank, bits, node.state->step() + 1, {}};
  for (std::uint32_t shard = 0; shard < start.owner.size(); ++shard) {
    if (start.owner[shard] == start.rank) own.shards.push_back(shard);
  }
  send_to_peers(node, own);
  take(node, own);
}

void Simulation::send_to_peers(Node& node, const Contribution& own) {
  const Start& start = node.group->start;
  for (const Member& member : start.members) {
    const Process to = member.port;
    if (to == node.process) continue;
    const bool twice = chance(60);
    if (twice) ++tally_.doubled;
    for (int i = 0; i < (twice ? 2 : 1); ++i) {
      mesh_line(start.generation, node.process, to)->send([this, to, own] {
        arrives(to, [this, own](Node& peer) {
          take(peer, own);
          stir(peer.process);
        });
      });
    }
  }
}

// What a peer sends, or sent in another generation.
void Simulation::take(Node& node, Contribution contribution) {
  const bool planted = scenario_.planted == Planted::no_generation_check;
  if (!node.group || node.group->start.generation != contribution.generation) {
    if (!node.group || contribution.generation > node.group->start.generation) {
      node.early.push_back(contribution);
      if (!planted || !node.group) return;
    }
    ++tally_.stale;
    if (!planted) return;
  }
  if (contribution.mirror) {
    node.group->mirrored[contribution.step].insert(contribution.rank);
    return;
  }
  auto& slot = node.group->came[contribution.step][contribution.rank];
  if (!slot.empty() && scenario_.planted != Planted::double_count) return;
  slot.push_back(std::move(contribution));
}

void Simulation::apply(Node& node) {
  Group& group = *node.group;
  const Start& start = group.start;
  const std::int64_t step = node.state->step() + 1;
  const auto came = std::move(group.came[step]);
  check_sum(node, came);
  node.state->made_in.push_back(start.generation);
  ++tally_.steps_applied;
  group.came.erase(step);
  group.posted = false;
  std::uint32_t bits = 0;
  for (const auto& [rank, given] : came) bits |= given.front().bits;
  if (mirror_every_ > 0 && step % mirror_every_ == 0 && step < kLastStep) {
    begin_mirror(node, bits);
  } else {
    follow(node, bits);
  }
}

// Everybody sends its part of the state to everybody; the mirror before stays until all of them are there.
void Simulation::begin_mirror(Node& node, std::uint32_t bits) {
  Group& group = *node.group;
  group.posted = true;
  group.mirroring = bits;
  const Contribution part{group.start.generation, group.start.rank, 0, node.state->step(), {}, true};
  send_to_peers(node, part);
  take(node, part);
  if (scenario_.planted != Planted::mirrored_too_early) return;
  node.mirror = node.state;
  node.mirror_in_parts = true;
}

void Simulation::end_mirror(Node& node) {
  ++tally_.mirrors;
  node.mirror = node.state;
  node.mirror_in_parts = false;
  node.group->posted = false;
  node.group->mirrored.erase(node.state->step());
  const std::uint32_t bits = *std::exchange(node.group->mirroring, std::nullopt);
  follow(node, bits);
}

// What comes behind a step.
void Simulation::follow(Node& node, std::uint32_t bits) {
  const Start& start = node.group->start;
  const std::int64_t step = node.state->step();
  if (start.rank == 0) {
    say(node, Words{Progress{static_cast<std::uint64_t>(step), 0, 0, 0, 0, 0, 0}});
    if (chance(3)) {
      Pace pace;
      pace.generation = start.generation;
      pace.step = static_cast<std::uint64_t>(step);
      pace.step_seconds = 100;  // so that moves are worth their cost
      for (std::size_t r = 0; r < start.members.size(); ++r) pace.ranks.push_back({1.0 + static_cast<double>(rng_.below(99)), 0});
      say(node, Words{pace});
    }
    if (step < kLastStep && (step % kCheckpointEvery == 0 || (bits & Signal::kCheckpoint) != 0)) {
      say(node, SentState{StateReason::checkpoint, *node.state});
    }
  }
  if (step == kLastStep) {
    say_done(node);
  } else if ((bits & Signal::kPause) != 0) {
    say(node, Words{paused(node, start.generation)});
    leave_group(node, false);
  }
}

void Simulation::say_done(Node& node) {
  const bool first = node.group->start.rank == 0;
  if (first) say(node, SentState{StateReason::final_state, *node.state});
  say(node, Words{Done{static_cast<std::uint64_t>(kLastStep), "sha",
                       first ? R"({"epochs":1,"steps":30,"samples":1,"seconds":1,"samples_per_second":1,"train_loss":0})" : ""}});
  leave_group(node, false);
}

// What a node has alone is a part of the state; what counts is its mirror.
void Simulation::fall_back(Node& node) {
  if (scenario_.planted != Planted::step_kept_after_break) {
    const std::int64_t reached = node.state->step();
    if (mirror_every_ > 0 && (!node.mirror || reached - node.mirror->step() > mirror_every_)) {
      breach(fmt::format("at step {} the mirror is of step {}", reached, node.mirror ? node.mirror->step() : -1));
    }
    if (node.mirror) ++tally_.fell_back;
    node.state = node.mirror;
    if (!node.mirror_in_parts) return;
  }
  if (node.state && node.state->step() > 0) node.state->made_in.back() = 0;  // parts of it were with others
}

// Its peers hear of it behind what it has sent, or what of it still gets through.
void Simulation::leave_group(Node& node, bool broken) {
  const Start start = std::move(node.group->start);
  node.group.reset();
  if (broken && held_apart_) fall_back(node);
  for (const Member& member : start.members) {
    const Process to = member.port;
    if (to == node.process) continue;
    const auto line = mesh_line(start.generation, node.process, to);
    const auto gone = [this, to, generation = start.generation, rank = start.rank] {
      arrives(to, [this, generation, rank](Node& peer) {
        if (!peer.group || peer.group->start.generation != generation) return;
        peer.group->gone.insert(rank);
        stir(peer.process);
      });
    };
    if (broken) {
      line->cut(gone);
    } else {
      line->close(gone);
    }
  }
}

void Simulation::process_ends(Process process, bool killed) {
  Node& node = nodes_.at(process);
  note(fmt::format("process {} {}", process, killed ? "is killed" : "ends"));
  if (node.group) leave_group(node, true);
  if (node.id != 0) {
    const NodeId id = node.id;
    const auto gone = [this, id] { serve(id, [this, id] { lost(id); }); };
    if (killed) {
      node.up->cut(gone);
    } else {
      node.up->close(gone);
    }
    node.down->deafen();
  }
  nodes_.erase(process);
}

std::shared_ptr<SimulatedLine> Simulation::mesh_line(std::uint32_t generation, Process from, Process to) {
  auto& line = mesh_[{generation, from, to}];
  if (line) return line;
  line = std::make_shared<SimulatedLine>(time_, rng_);
  if (parted(from, to)) line->silence(parted_.at(std::minmax(from, to)) - time_.now());
  return line;
}

}  // namespace dl::test
