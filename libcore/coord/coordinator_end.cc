// SPDX-License-Identifier: MIT
// How a run ends: done, stopped, or with an error.
#include <algorithm>
#include <array>

#include "coord/coordinator.h"

namespace dl::coord {

// Done is what all members say they are, with one digest, once the final state is on disk.
void Coordinator::check_done() {
  const std::vector<NodeId> group = members();
  for (const NodeId id : group) {
    if (!nodes_.at(id).done) return;
  }
  if (group.empty() || nodes_.at(group.front()).rank != 0U) return;
  const Done& first = *nodes_.at(group.front()).done;
  for (const NodeId id : group) {
    const Done& other = *nodes_.at(id).done;
    if (other.step == first.step && other.params_sha256 == first.params_sha256) continue;
    const std::string text = fmt::format(
        "the nodes ended with different parameters: rank 0 has {} at step {}, rank {} has {} at "
        "step {}",
        shown(first.params_sha256), first.step, *nodes_.at(id).rank, shown(other.params_sha256),
        other.step);
    end(static_cast<int>(Exit::bug), text, text);
    return;
  }
  if (final_step_ != static_cast<std::int64_t>(first.step)) return;
  try {
    const Json summary = parse_json(first.summary, "summary");
    const JsonObject object(summary, "summary");
    Json done{{"event", "done"}};
    for (const char* key : {"epochs", "steps", "samples", "seconds", "samples_per_second",
                            "train_loss"}) {
      done[key] = object.get(key);
    }
    for (const char* key : {"test_accuracy", "test_rmse", "steps_refused"}) {
      if (object.has(key)) done[key] = object.get(key);
    }
    done["params_sha256"] = first.params_sha256.str();
    done["checkpoint"] = final_path_;
    announce_times();
    out_.push_back(action::Announce{std::move(done)});
  } catch (const Error& error) {
    end(static_cast<int>(Exit::bug), fmt::format("rank 0: {}", error.what()), error.what());
    return;
  }
  end(0, "", "");
}

// A stop waits for nobody who stands still. The group has most of the time to finish its step; then it is told to pause,
// which costs the step that is open; then who still owes an answer is lost. One whose answer is the only one that could
// have the newest state has twice the time of a step, since it may be at an honest one. Work that moves is waited for:
// in a run that is held apart a broken round would cost all steps since the checkpoint.
void Coordinator::hurry() {
  if (!ending_ || now_ < ending_->asked_ns + ending_->within_ns * 3 / 5) return;
  const std::int64_t brief = ending_->within_ns * 2 / 5;
  if (phase_ == Phase::running) {
    const std::vector<NodeId> group = members();
    const bool moves = std::any_of(group.begin(), group.end(), [&](NodeId id) { return now_ - nodes_.at(id).stirred_ns <= brief; });
    if (!plan_.held_apart || !moves) form();
    return;
  }
  if (phase_ != Phase::forming && phase_ != Phase::fetching) return;
  std::int64_t best = kept_step_;
  for (const auto& [id, node] : nodes_) best = std::max(best, node.paused.value_or(-1));
  const bool wanted = phase_ == Phase::fetching || best < newest_step_;
  const std::int64_t patience = wanted ? std::max(ending_->within_ns, 2 * step_ns()) : brief;
  std::vector<std::pair<NodeId, std::string>> lost;
  for (const auto& [id, node] : nodes_) {
    const std::int64_t standstill = now_ - node.stirred_ns;
    const bool owes = node.asked && (!node.paused || holder_ == id);
    if (!owes || standstill <= patience) continue;
    lost.emplace_back(id, fmt::format("the run is to stop, and it does not answer: its work has stood still for {:.1f} s",
                                      static_cast<double>(standstill) * 1e-9));
    out_.push_back(action::Close{id, true});
  }
  lose(lost);
}

// Everyone who trained is paused, or nobody is left: what is newest goes to disk first, whoever has it. After a
// start it may be a node that trained for the coordinator before this one.
void Coordinator::save_and_end() {
  std::int64_t best = kept_step_;
  std::optional<NodeId> holder;
  for (const NodeId id : ready_nodes()) {
    const std::int64_t step = nodes_.at(id).paused.value_or(-1);
    if (step <= best) continue;
    best = step;
    holder = id;
  }
  if (best <= 0 || best <= written_step_) {
    end_as_planned();
  } else if (holder) {
    fetch(*holder, best);
  } else {
    phase_ = Phase::saving;
    if (best > writing_step_) write_kept();
  }
}

void Coordinator::write_kept() {
  writing_step_ = kept_step_;
  out_.push_back(action::Write{static_cast<std::uint64_t>(kept_step_), StateReason::asked});
}

// A stop on request is no failure of the nodes.
void Coordinator::end_as_planned() {
  const bool failed = ending_->code == static_cast<int>(Exit::unavailable);
  end(ending_->code, ending_->text, failed ? ending_->text : "");
}

// With a word for the nodes they end with the run's code, else with 0.
void Coordinator::end(int code, const std::string& text, const std::string& word_for_nodes) {
  for (const auto& [id, node] : nodes_) {
    const auto code_for_nodes = word_for_nodes.empty() ? 0U : static_cast<std::uint32_t>(code);
    send(id, Goodbye{code_for_nodes, Text<1024>::cut(word_for_nodes)});
    out_.push_back(action::Close{id});
  }
  nodes_.clear();
  out_.push_back(action::Finish{code, text});
  phase_ = Phase::ended;
}

}  // namespace dl::coord
