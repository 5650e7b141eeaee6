// SPDX-License-Identifier: MIT
// Who is lost, how that is noticed, and what follows from it.
#include <algorithm>

#include "coord/coordinator.h"

namespace dl::coord {

void Coordinator::lose(NodeId id, const std::string& reason) { lose({{id, reason}}); }

// All that are lost at one time, then what follows from it.
void Coordinator::lose(const std::vector<std::pair<NodeId, std::string>>& lost) {
  bool any = false, member = false, holder = false, loader = false;
  for (const auto& [id, reason] : lost) {
    const auto found = nodes_.find(id);
    if (found == nodes_.end()) continue;
    const Node node = std::move(found->second);
    nodes_.erase(found);
    any = true;
    member = member || node.rank.has_value();
    holder = holder || holder_ == id;
    loader = loader || std::find(next_.group.begin(), next_.group.end(), id) != next_.group.end();
    announce_lost(node, reason);
  }
  if (member && plan_.on_loss == OnLoss::stop && !ending_) {
    ending_ = Ending{static_cast<int>(Exit::unavailable), "a node was lost, and --on-loss is stop"};
  }
  if (phase_ == Phase::forming && any) {
    deadline_ns_ = now_ + plan_.wait_ns;
    proceed();
  } else if (phase_ == Phase::fetching && holder) {
    holder_.reset();
    phase_ = Phase::forming;
    proceed();
  } else if (phase_ == Phase::loading && loader) {
    form();
  } else if (phase_ == Phase::running && member) {
    if (moved_on_) barren_ = {};
    const std::vector<NodeId> left = members();
    const bool all_done = !left.empty() && nodes_.at(left.front()).rank == 0U &&
                          std::all_of(left.begin(), left.end(),
                                      [this](NodeId n) { return nodes_.at(n).done.has_value(); });
    if (all_done) {
      check_done();  // nothing was lost with it
    } else {
      form();
    }
  }
}

void Coordinator::announce_lost(const Node& node, const std::string& reason) {
  out_.push_back(action::Announce{Json{{"event", "lost"},
                                       {"rank", node.rank ? Json(*node.rank) : Json(nullptr)},
                                       {"host", node.hello.host.str()},
                                       {"pid", node.hello.pid},
                                       {"reason", reason},
                                       {"generation", generation_},
                                       {"step", node.progress.step},
                                       {"shards", node.rank ? node.shards : Json::array()}}});
}

void Coordinator::stir(NodeId id) { nodes_.at(id).stirred_ns = now_; }

// A process that is gone says nothing; one whose training thread hangs (a disk that does not answer)
// beats on, and owes what it was asked for.
void Coordinator::lose_silent_and_hung() {
  std::vector<std::pair<NodeId, std::string>> lost;
  for (const auto& [id, node] : nodes_) {
    const std::int64_t silence = now_ - node.heard_ns;
    const std::int64_t standstill = now_ - node.stirred_ns;
    if (silence > plan_.dead_after_ns) {
      lost.emplace_back(
          id, fmt::format("nothing heard for {:.1f} s", static_cast<double>(silence) * 1e-9));
    } else if (node.asked && standstill > hung_ns()) {
      lost.emplace_back(id, fmt::format("it hangs: its heart beats, its work has stood still for "
                                        "{:.1f} s", static_cast<double>(standstill) * 1e-9));
    } else {
      continue;
    }
    out_.push_back(action::Close{id, true});
  }
  lose(lost);
}

// One that hangs holds up its whole group, and from here all look the same. Who is asked to pause and
// does not, is the one. If all do, the work was only slow: it gets twice the time until a step is applied.
void Coordinator::break_standstill() {
  if (phase_ != Phase::running) return;
  for (const NodeId id : members()) {
    if (now_ - nodes_.at(id).stirred_ns <= hung_ns() << std::min(standstills_, 10U)) return;
  }
  ++standstills_;
  if (!moved_on_) count_barren();
  form();
}

// What a step takes on rank 0, between two words of its own.
void Coordinator::measure_step(const Progress& progress) {
  const Progress before = std::exchange(measured_, progress);
  if (progress.step <= before.step || !(progress.train_seconds > before.train_seconds)) return;
  constexpr std::size_t kNewest = 31;
  step_seconds_.push_back((progress.train_seconds - before.train_seconds) / static_cast<double>(progress.step - before.step));
  if (step_seconds_.size() > kNewest) step_seconds_.pop_front();
}

std::int64_t Coordinator::step_ns() const {
  constexpr double kLongest = 86400;
  if (step_seconds_.empty()) return 0;
  std::vector<double> sorted(step_seconds_.begin(), step_seconds_.end());
  std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2), sorted.end());
  return static_cast<std::int64_t>(std::min(sorted[sorted.size() / 2], kLongest) * 1e9);
}

std::int64_t Coordinator::hung_ns() const { return std::max(plan_.hung_after_ns, 10 * step_ns()); }

}  // namespace dl::coord
