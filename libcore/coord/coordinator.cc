// SPDX-License-Identifier: MIT
// What comes in. Losses are in coordinator_loss.cc, groups in coordinator_group.cc, the end of a run in
// coordinator_end.cc.
#include "coord/coordinator.h"

#include <algorithm>

namespace dl::coord {

namespace {

// Codes that another attempt would meet again: the run cannot go on with such a node.
bool lasting(std::uint32_t code) {
  return code == static_cast<std::uint32_t>(Exit::usage) ||
         code == static_cast<std::uint32_t>(Exit::data) ||
         code == static_cast<std::uint32_t>(Exit::no_input) ||
         code == static_cast<std::uint32_t>(Exit::bug) ||
         code == static_cast<std::uint32_t>(Exit::disagree);
}

std::string who(const Hello& hello) {
  return fmt::format("the node at {} (pid {})", shown(hello.host), hello.pid);
}

}  // namespace

Coordinator::Coordinator(Plan plan, std::int64_t now_ns)
    : plan_(std::move(plan)),
      now_(now_ns),
      generation_(plan_.generation),
      kept_step_(plan_.kept_step),
      writing_step_(plan_.kept_step),
      written_step_(plan_.kept_step),
      deadline_ns_(now_ns + plan_.wait_ns),
      ticked_ns_(now_ns) {}

std::vector<Action> Coordinator::on(std::int64_t now_ns, const Event& event) {
  if (phase_ == Phase::ended) return {};
  now_ = std::max(now_, now_ns);
  std::visit([this](const auto& e) { take(e); }, event);
  return std::exchange(out_, {});
}

void Coordinator::take(const event::Arrived& event) {
  const Hello& hello = event.hello;
  if (hello.protocol != kProtocol || !(hello.version == plan_.version)) {
    send(event.node,
         Refuse{static_cast<std::uint32_t>(Exit::disagree),
                Text<1024>::cut(fmt::format(
                    "versions differ: the node is {} (protocol {}), the coordinator is {} "
                    "(protocol {})",
                    shown(hello.version), hello.protocol, shown(plan_.version), kProtocol))});
    refuse(event.node, hello,
           fmt::format("its version is {} (protocol {}), ours is {} (protocol {})",
                       shown(hello.version), hello.protocol, shown(plan_.version), kProtocol));
    return;
  }
  Node& node = nodes_[event.node];
  node.address = event.address;
  node.via = event.via;
  node.hello = hello;
  node.heard_ns = now_;
  node.stirred_ns = now_;
  send(event.node, Welcome{plan_.run_id, event.node, plan_.heartbeat_ms, plan_.config});
}

void Coordinator::take(const event::Said& event) {
  const auto found = nodes_.find(event.node);
  if (found == nodes_.end()) return;
  found->second.heard_ns = now_;
  std::visit([&](const auto& message) { said(event.node, message); }, event.message);
}

void Coordinator::said(NodeId id, const Ready& message) {
  Node& node = nodes_.at(id);
  if (node.ready) return;
  std::string wrong;
  const std::string_view arithmetic = message.arithmetic;
  const std::string& ours = this->arithmetic();
  // The core's name behind "openblas-" is the first node's choice.
  const bool fits = arithmetic == ours || (arithmetic_.empty() && ours == "openblas" &&
                                           arithmetic.starts_with("openblas-"));
  if (!(message.manifest_sha256 == plan_.manifest_sha256)) {
    wrong = fmt::format("its data has manifest {}, the run's has {}",
                        shown(message.manifest_sha256), shown(plan_.manifest_sha256));
  } else if (message.parameters != plan_.parameters) {
    wrong = fmt::format("its model has {} parameters, the run's has {}", message.parameters,
                        plan_.parameters);
  } else if (!fits) {
    wrong = fmt::format("its arithmetic is {}, the run's is {}", shown(arithmetic), shown(ours));
  }
  if (!wrong.empty()) {
    const Hello hello = node.hello;
    send(id, Refuse{static_cast<std::uint32_t>(Exit::disagree),
                    Text<1024>::cut("node and coordinator disagree: " + wrong)});
    refuse(id, hello, wrong);
    return;
  }
  if (ending_) {
    send(id, Goodbye{0, "the run is about to stop"});
    out_.push_back(action::Close{id});
    nodes_.erase(id);
    return;
  }
  if (arithmetic_.empty()) arithmetic_ = std::string(arithmetic);
  node.ready = true;
  node.declared = message.speed;
  if (phase_ == Phase::forming || phase_ == Phase::fetching) {
    deadline_ns_ = now_ + plan_.wait_ns;
    pause(id);
  } else if (phase_ == Phase::loading) {
    form();  // what the others have loaded so far, they keep
  } else if (phase_ == Phase::running && members().size() < places(candidates().size())) {
    ask_to_pause();
  }
}

void Coordinator::said(NodeId id, const Paused& message) {
  Node& node = nodes_.at(id);
  if (message.generation != generation_ || message.step < -1 || !node.ready) return;
  node.asked = false;
  stir(id);
  if (phase_ == Phase::forming || phase_ == Phase::fetching) {
    node.paused = message.step;
    proceed();
  } else if (phase_ == Phase::running && node.rank) {
    node.paused = message.step;
    node.broken = message.reason.str();
    node.missed = !message.unmet.empty();
    for (const std::uint32_t rank : message.unmet) {
      if (rank >= next_.group.size() || next_.group[rank] == id) continue;
      ++barren_.unmet[std::minmax(id, next_.group[rank])];
    }
    for (const NodeId member : members()) {
      if (!nodes_.at(member).paused) return;
    }
    if (ending_) {
      save_and_end();
    } else {
      if (moving_) moving_->paused_ns = now_;
      group_broke();
      form();
    }
  }
}

void Coordinator::said(NodeId id, const Loaded& message) {
  if (message.generation != generation_ || phase_ != Phase::loading) return;
  nodes_.at(id).loaded = true;
  nodes_.at(id).asked = false;
  stir(id);
  const bool all = std::all_of(next_.group.begin(), next_.group.end(),
                               [this](NodeId member) { return nodes_.at(member).loaded; });
  if (all && !next_.announced_ns) announce();
}

void Coordinator::said(NodeId id, const Progress& message) {
  Node& node = nodes_.at(id);
  node.progress = message;
  stir(id);
  if (phase_ != Phase::running || !node.rank) return;
  newest_step_ = std::max(newest_step_, static_cast<std::int64_t>(message.step));
  if (newest_step_ > next_.step + 1) moved_on();
  if (node.rank != 0U) return;
  measure_step(message);
  out_.push_back(action::Live{message});
  learn_cost();
}

// Also from a group that breaks: who has this step's state may be the one that the run goes on from.
void Coordinator::said(NodeId id, const Updates& message) {
  if (!nodes_.at(id).rank || message.generation != group_generation_) return;
  stir(id);
  out_.push_back(action::Append{message});
}

void Coordinator::said(NodeId id, const Report& message) {
  if (nodes_.at(id).rank != 0U) return;
  stir(id);
  try {
    Json json = parse_json(message.json, "report");
    const JsonObject report(json, "report");
    const std::string event = report.text("event");
    if (event == "first_step" && std::exchange(reported_first_step_, true)) return;
    if (event == "epoch") {
      // A new rank 0 may end an epoch that the lost one has reported.
      const auto epoch = static_cast<std::int64_t>(report.count("epoch", INT64_MAX));
      if (epoch <= reported_epoch_) return;
      reported_epoch_ = epoch;
    }
    out_.push_back(action::Announce{std::move(json)});
  } catch (const Error& error) {
    out_.push_back(action::Close{id});
    lose(id, error.what());
  }
}

void Coordinator::said(NodeId id, const Done& message) {
  Node& node = nodes_.at(id);
  if (phase_ != Phase::running || !node.rank) return;
  node.done = message;
  stir(id);
  node.progress.step = message.step;
  check_done();
}

void Coordinator::said(NodeId id, const Refuse& message) { left(id, message.code, message.text.str()); }
void Coordinator::said(NodeId id, const Goodbye& message) { left(id, message.code, message.text.str()); }

void Coordinator::said(NodeId id, const Heartbeat& message) {
  if (std::exchange(nodes_.at(id).beat, message.progress) != message.progress) stir(id);
}

void Coordinator::left(NodeId id, std::uint32_t code, const std::string& text) {
  const Node& node = nodes_.at(id);
  if (lasting(code) && (!started_ || node.rank)) {
    end(static_cast<int>(code), fmt::format("{}: {}", who(node.hello), text), text);
    return;
  }
  out_.push_back(action::Close{id});
  lose(id, text.empty() ? fmt::format("it left with code {}", code) : "it left: " + text);
}

// The Refuse is on its way already.
void Coordinator::refuse(NodeId id, const Hello& hello, const std::string& text) {
  out_.push_back(action::Close{id});
  out_.push_back(action::Announce{Json{{"event", "refused"},
                                       {"host", hello.host.str()},
                                       {"pid", hello.pid},
                                       {"reason", text}}});
  nodes_.erase(id);
}

void Coordinator::take(const event::AtWork& event) {
  const auto found = nodes_.find(event.node);
  if (found == nodes_.end()) return;
  found->second.heard_ns = now_;
  stir(event.node);
  // A node that still fetches the manifest is not one that is missing.
  if (phase_ == Phase::forming && !found->second.ready) deadline_ns_ = now_ + plan_.wait_ns;
}

void Coordinator::take(const event::StateCame& event) {
  const auto found = nodes_.find(event.node);
  if (found == nodes_.end()) return;
  found->second.heard_ns = now_;
  stir(event.node);
  const auto step = static_cast<std::int64_t>(event.step);
  if (step < 0) return;
  if (event.reason == StateReason::asked) {
    if (phase_ != Phase::fetching || holder_ != event.node || step != holder_step_) return;
    out_.push_back(action::Keep{});
    kept_step_ = step;
    found->second.asked = false;
    holder_.reset();
    phase_ = Phase::forming;
    proceed();
    return;
  }
  // Whatever rank 0 has is the group's state at that step, whether or not the group still stands.
  if (found->second.rank != 0U) return;
  if (event.reason == StateReason::best) {
    out_.push_back(action::Write{event.step, event.reason});
    return;
  }
  const bool final_state = event.reason == StateReason::final_state;
  if (step < kept_step_ || step < writing_step_) return;
  checkpoint_asked_ = false;
  if (!final_state && step == writing_step_) return;
  out_.push_back(action::Keep{});
  kept_step_ = writing_step_ = step;
  out_.push_back(action::Write{event.step, event.reason});
}

void Coordinator::take(const event::Lost& event) { lose(event.node, event.reason); }

void Coordinator::take(const event::Written& event) {
  const auto step = static_cast<std::int64_t>(event.step);
  if (event.reason == StateReason::best) {
    out_.push_back(action::Announce{
        Json{{"event", "best"}, {"step", event.step}, {"checkpoint", event.path}}});
    return;
  }
  out_.push_back(action::Announce{
      Json{{"event", "checkpoint"}, {"step", event.step}, {"checkpoint", event.path}}});
  written_step_ = std::max(written_step_, step);
  if (event.reason == StateReason::final_state) {
    final_step_ = step;
    final_path_ = event.path;
    if (phase_ == Phase::running) check_done();
  }
  if (phase_ == Phase::saving && written_step_ >= writing_step_) end_as_planned();
}

// The checkpoint before it stays, and training goes on, unless this one was the last chance.
void Coordinator::take(const event::WriteFailed& event) {
  out_.push_back(action::Announce{Json{{"event", "write_failed"}, {"step", event.step}, {"reason", event.text}}});
  if (event.code != Exit::io && event.code != Exit::cannot_create) {  // not the disk: the state is no good
    // Between two checkpoints that happens (an optimizer's memory overflows). A stop leaves it out: the start that
    // follows comes to it again, and to the end of the epoch, where it is refused.
    if (event.reason == StateReason::asked) {
      if (static_cast<std::int64_t>(event.step) != writing_step_) return;
      if (phase_ == Phase::saving) return end_as_planned();
      writing_step_ = written_step_;
      return;
    }
    end(static_cast<int>(event.code), event.text, event.text);
    return;
  }
  const bool newest = event.reason != StateReason::best && static_cast<std::int64_t>(event.step) == writing_step_;
  if (!newest) return;
  writing_step_ = written_step_;
  if (event.reason != StateReason::final_state && phase_ != Phase::saving) return;
  end(static_cast<int>(Exit::io), event.text, "the coordinator cannot write: " + event.text);
}

void Coordinator::take(const event::DataFailed& event) {
  end(static_cast<int>(event.code), event.text, event.text);
}

void Coordinator::take(const event::ChildEnded& event) {
  end(static_cast<int>(event.code), event.text, event.text);
}

void Coordinator::take(const event::StopAsked& event) {
  if (ending_) return;
  ending_ = Ending{event.exit_code, event.why, now_, event.within_ns};
  if (phase_ == Phase::loading) phase_ = Phase::forming;  // its members are still paused
  if (phase_ == Phase::forming) {
    proceed();
  } else if (phase_ == Phase::running) {
    ask_to_pause();
  }
}

void Coordinator::take(const event::CheckpointAsked& /*event*/) {
  checkpoint_asked_ = true;
  if (phase_ == Phase::running) {
    send(members().front(), Signal{Signal::kCheckpoint});
  } else if (kept_step_ > writing_step_) {
    write_kept();  // what the group that forms has beyond it, comes when it trains
  }
}

void Coordinator::take(const event::Tick& /*event*/) {
  // Whoever froze us (a debugger, a closed lid) froze our ears too: that time counts for nobody.
  const std::int64_t gap = now_ - std::exchange(ticked_ns_, now_);
  if (gap > plan_.dead_after_ns / 2) {
    for (auto& [id, node] : nodes_) {
      node.heard_ns = std::min(now_, node.heard_ns + gap);
      node.stirred_ns = std::min(now_, node.stirred_ns + gap);
    }
  }
  lose_silent_and_hung();
  break_standstill();
  hurry();
  record_again();
  take_back();
  if (phase_ != Phase::forming || ending_ || now_ <= deadline_ns_) return;
  const std::size_t ready = candidates().size(), out = ready_nodes().size() - ready;
  if (ready >= needed()) return;
  ending_ = Ending{static_cast<int>(Exit::unavailable),
                   fmt::format("waited {:g} s for nodes: {} of {} {} ready{}",
                               static_cast<double>(plan_.wait_ns) * 1e-9, ready, needed(), ready == 1 ? "is" : "are",
                               out > 0 ? fmt::format(", and {} left out", out) : "")};
  proceed();
}

std::vector<Coordinator::NodeView> Coordinator::nodes() const {
  std::vector<NodeView> views;
  for (const auto& [id, node] : nodes_) {
    const char* doing = !node.ready                     ? "loading"
                        : node.done                     ? "done"
                        : phase_ == Phase::loading && node.asked ? "loading"
                        : phase_ != Phase::running      ? "pausing"
                        : node.rank                     ? "training"
                                                        : "ready";
    views.push_back({id, node.rank, node.hello.host.str(), node.hello.pid, node.hello.threads,
                     node.hello.kernel.str(), doing, node.progress, std::nullopt});
    if (const auto speed = node.speed.believed()) views.back().speed = samples_per_second(*speed);
  }
  return views;
}

std::string Coordinator::phase() const {
  switch (phase_) {
    case Phase::forming: return started_ ? "forming a group" : "waiting for nodes";
    case Phase::fetching: return "fetching the state";
    case Phase::loading: return "loading shards";
    case Phase::running: return "running";
    case Phase::saving: return "saving";
    case Phase::ended: return "ended";
  }
  return "?";
}

}  // namespace dl::coord
