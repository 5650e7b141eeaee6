// SPDX-License-Identifier: MIT
// The coordinator's process: what the server does for it, and its disk.
#include "simulation.h"

#include "transcript.h"

namespace dl::test {

using namespace coord;

namespace {

constexpr std::int64_t kTick = 200 * kMs;

}  // namespace

Simulation::Simulation(const Scenario& scenario) : scenario_(scenario), rng_(scenario.seed, Purpose::test), plan_(plan()) {
  plan_.nodes = static_cast<std::uint32_t>(1 + rng_.below(3));
  plan_.min_nodes = static_cast<std::uint32_t>(1 + rng_.below(2));
  plan_.wait_ns = 10'000'000 * kMs;
  plan_.dead_after_ns = 2'500 * kMs;
  plan_.hung_after_ns = chance(2) ? 60'000 * kMs : 6'000 * kMs;
  plan_.assignment = chance(2) ? Assignment::adaptive : Assignment::balanced;
  plan_.on_loss = chance(4) ? OnLoss::wait : OnLoss::go_on;
  held_apart_ = scenario.planted == Planted::step_kept_after_break || chance(4);
  if (scenario.planted == Planted::mirrored_too_early) held_apart_ = true;
  if (held_apart_ && chance(2)) mirror_every_ = static_cast<std::int64_t>(1 + rng_.below(8));
  calm_from_ = between(10'000, 40'000);
  parts_ = chance(4);
  if (parts_) plan_.wait_ns = between(20'000, 200'000);
}

Tally Simulation::run() {
  start_coordinator();
  tick();
  for (std::uint32_t i = 0; i < plan_.nodes; ++i) arrive();
  disturb();
  while (finished_ != 0) {
    if (time_.now() > calm_from_ + 900'000 * kMs) breach("the run does not end");
    time_.step();
    ++tally_.events;
    check_after_event();
  }
  tally_.starts = static_cast<int>(starts_);
  return tally_;
}

// The same command, again.
void Simulation::start_coordinator() {
  if (disk_full_) {  // it could not write run.json
    time_.after(between(100, 1'000), [this] { start_coordinator(); });
    return;
  }
  ++starts_;
  finished_.reset();
  const bool anew = scenario_.planted == Planted::generation_begins_anew;
  plan_.generation = std::max(1U, disk_.newest_generation() + (anew ? 0 : 1));
  kept_ = disk_.newest();
  if (announced_ > 0 && (!kept_ || kept_->step() < announced_)) breach("the newest checkpoint is older than the one announced");
  plan_.kept_step = kept_ ? kept_->step() : -1;
  note(fmt::format("coordinator starts at generation {}, step {}", plan_.generation, plan_.kept_step));
  coordinator_.emplace(plan_, time_.now());
}

void Simulation::coordinator_dies(const char* how) {
  if (!coordinator_) return;
  note(fmt::format("coordinator: {}", how));
  coordinator_.reset();
  dies_in_ = 0;
  frozen_ = acting_ = false;
  held_.clear();
  events_.clear();
  writes_.clear();
  owed_.clear();
  farewell_.clear();
  for (const auto& [id, process] : std::exchange(peers_, {})) {
    const auto found = nodes_.find(process);
    if (found == nodes_.end() || found->second.id != id) continue;
    found->second.down->cut([this, process, id] {
      arrives(process, [this, id](Node& node) {
        if (node.id == id) hear(node, Closed{});
      });
    });
    found->second.up->deafen();
  }
  time_.after(between(50, 3'000), [this] { start_coordinator(); });
}

void Simulation::serve(NodeId id, std::function<void()> arrive) {
  if (!peers_.contains(id)) return;
  if (frozen_) {
    held_.push_back(std::move(arrive));
  } else {
    arrive();
  }
}

void Simulation::hear(NodeId id, const FromNode& message) {
  if (!coordinator_ || !peers_.contains(id)) return;
  if (const auto* hello = std::get_if<Hello>(&message)) {
    tell(event::Arrived{id, "10.0.0.1", "10.0.0.9", *hello});
  } else if (const auto* sent = std::get_if<SentState>(&message)) {
    arrived_ = sent->state;
    tell(event::StateCame{id, static_cast<std::uint64_t>(sent->state.step()), sent->reason});
  } else {
    const Words& words = std::get<Words>(message);
    if (const auto* said = std::get_if<Paused>(&words)) paused_[id] = *said;
    if (const auto* said = std::get_if<Loaded>(&words)) loaded_[id] = said->generation;
    tell(event::Said{id, words});
  }
}

void Simulation::lost(NodeId id) {
  if (peers_.erase(id) == 0) return;
  tell(event::Lost{id, "the connection broke"});
}

void Simulation::tick() {
  time_.after(kTick, [this] { tick(); });
  if (!coordinator_ || frozen_) return;
  for (const auto& [id, process] : peers_) send_down(id, Heartbeat{});
  tell(event::Tick{});
}

void Simulation::tell(const Event& event) {
  if (!coordinator_) return;
  events_.push_back(event);
  if (std::exchange(acting_, true)) return;
  while (!events_.empty()) {
    const Event next = std::move(events_.front());
    events_.pop_front();
    for (const Action& action : coordinator_->on(time_.now(), next)) {
      if (dies_in_ > 0 && --dies_in_ == 0) {
        coordinator_dies("killed between two actions");
        return;
      }
      std::visit([this](const auto& a) { act(a); }, action);
      if (!coordinator_) return;
    }
  }
  acting_ = false;
}

void Simulation::send_down(NodeId id, ToNode message) {
  const auto peer = peers_.find(id);
  if (peer == peers_.end()) return;
  const Process process = peer->second;
  const auto found = nodes_.find(process);
  if (found == nodes_.end() || found->second.id != id) return;
  found->second.down->send([this, process, id, message = std::move(message)] {
    arrives(process, [this, id, message](Node& node) {
      if (node.id == id) hear(node, message);
    });
  });
}

void Simulation::act(const action::Send& a) {
  if (const auto* start = std::get_if<Start>(&a.message)) check_start(a.node, *start);
  if (const auto* load = std::get_if<Load>(&a.message)) loads_[a.node] = *load;
  if (std::holds_alternative<Goodbye>(a.message) && paused_.contains(a.node) &&
      paused_.at(a.node).generation == coordinator_->generation()) {
    farewell_[a.node] = paused_.at(a.node).step;
  }
  std::visit([&](const auto& m) { send_down(a.node, m); }, a.message);
}

void Simulation::act(const action::Close& a) {
  const auto peer = peers_.find(a.node);
  if (peer == peers_.end()) return;
  const Process process = peer->second;
  peers_.erase(peer);
  const auto found = nodes_.find(process);
  if (found == nodes_.end() || found->second.id != a.node) return;
  found->second.up->deafen();
  found->second.down->close([this, process, id = a.node] {
    arrives(process, [this, id](Node& node) {
      if (node.id == id) hear(node, Closed{});
    });
  });
}

void Simulation::act(const action::Keep&) {
  if (kept_ && arrived_->step() < kept_->step()) breach("an older state is kept instead of a newer one");
  kept_ = arrived_;
}

void Simulation::act(const action::Serve& a) {
  served_[a.node] = kept_->step();
  send_down(a.node, *kept_);
}

void Simulation::act(const action::Write& a) {
  const bool best = a.reason == StateReason::best;
  if (!best && kept_->step() != static_cast<std::int64_t>(a.step)) breach("another state is written than was asked for");
  writes_.emplace_back(best ? *arrived_ : *kept_, a.reason);
  if (scenario_.planted == Planted::announced_before_written) announced_ = kept_->step();
  if (writes_.size() == 1) write_next();
}

// The calls of a commit, with time between them, on the writer's thread.
void Simulation::write_next() {
  const auto written = [this, start = starts_](auto then) {
    time_.after(between(1, 150), [this, start, then] {
      if (coordinator_ && starts_ == start) then();
    });
  };
  written([this, written] {
    const bool synced = scenario_.planted != Planted::rename_without_fsync;
    const auto [state, reason] = writes_.front();
    if (disk_full_) {
      writes_.pop_front();
      if (!writes_.empty()) write_next();
      tell(event::WriteFailed{static_cast<std::uint64_t>(state.step()), reason, "disk full", Exit::io});
      return;
    }
    disk_.rename(state, synced);
    written([this, state, reason] {
      disk_.sync_names();
      writes_.pop_front();
      if (!writes_.empty()) write_next();
      tell(event::Written{static_cast<std::uint64_t>(state.step()), reason, "file"});
    });
  });
}

void Simulation::act(const action::Announce& a) {
  const std::string event = a.json["event"].get<std::string>();
  if (event == "checkpoint") {
    ++tally_.checkpoints;
    check_checkpoint(a.json["step"].get<std::int64_t>());
  } else if (event == "group") {
    ++tally_.generations;
    owed_.push_back({a.json["generation"].get<std::uint32_t>(), a.json["step"].get<std::int64_t>()});
    if (!disk_full_) write_owed();
    note(a.json.dump());
  } else if (event == "lost") {
    note(a.json.dump());
  }
}

void Simulation::write_owed() {
  disk_.ledger.insert(disk_.ledger.end(), owed_.begin(), owed_.end());
  owed_.clear();
}

void Simulation::act(const action::Record& a) {
  if (disk_full_ && scenario_.planted != Planted::started_unrecorded) {
    ++tally_.unrecorded;
    tell(event::NotRecorded{a.generation, "disk full"});
    return;
  }
  if (!disk_full_) {
    write_owed();
    disk_.generation = a.generation;
  }
  tell(event::Recorded{a.generation});
}

void Simulation::act(const action::Finish& a) {
  note(fmt::format("finish {} {}", a.code, a.text));
  check_finish(a.code);
  finished_ = a.code;
  if (a.code != 0) coordinator_dies("ended");
}

}  // namespace dl::test
