// SPDX-License-Identifier: MIT
// How fast the nodes are, what follows for the map of shards, and where their time went.
#include <algorithm>
#include <cmath>

#include "coord/coordinator.h"

namespace dl::coord {

namespace {

std::uint64_t count_moved(const std::vector<std::uint32_t>& from, const std::vector<std::uint32_t>& to) {
  std::uint64_t moved = 0;
  for (std::size_t s = 0; s < from.size(); ++s) moved += from[s] != to[s] ? 1 : 0;
  return moved;
}

}  // namespace

bool Coordinator::all_declared(const std::vector<NodeId>& group) const {
  return std::all_of(group.begin(), group.end(), [this](NodeId id) {
    const double speed = nodes_.at(id).declared;
    return std::isfinite(speed) && speed > 0;
  });
}

// What was measured comes before what was declared; who was not measured is set against those who were
// by what all have declared.
std::vector<double> Coordinator::speeds_of(const std::vector<NodeId>& group) const {
  std::vector<double> each, threads, out, ratios;
  for (const NodeId id : group) {
    const Node& node = nodes_.at(id);
    threads.push_back(std::max(1U, node.hello.threads));
    each.push_back(node.declared / threads.back());
  }
  each = all_declared(group) ? evened(each) : std::vector<double>(group.size(), 1.0);
  for (std::size_t i = 0; i < group.size(); ++i) out.push_back(each[i] * threads[i]);
  if (plan_.assignment != Assignment::adaptive) return out;
  for (std::size_t i = 0; i < group.size(); ++i) {
    if (const auto speed = nodes_.at(group[i]).speed.believed()) ratios.push_back(*speed / out[i]);
  }
  if (ratios.empty()) return out;
  std::sort(ratios.begin(), ratios.end());
  const double ratio = ratios[ratios.size() / 2];
  for (std::size_t i = 0; i < group.size(); ++i) {
    out[i] = nodes_.at(group[i]).speed.believed().value_or(out[i] * ratio);
  }
  return out;
}

std::vector<std::uint32_t> Coordinator::map_of(const std::vector<NodeId>& group) const {
  if (moving_ && moving_->group == group && !moving_->started) return moving_->owner;
  return assign(plan_.assignment, {plan_.shard_samples, plan_.units, fixed_samples_}, speeds_of(group), plan_.seed,
                generation_);
}

void Coordinator::said(NodeId id, const Pace& message) {
  const Node& node = nodes_.at(id);
  if (phase_ != Phase::running || node.rank != 0U || message.generation != generation_) return;
  const std::vector<NodeId> group = members();
  if (message.ranks.size() != group.size()) return;
  stir(id);
  std::vector<double> loads(group.size());
  for (std::size_t s = 0; s < next_.owner.size(); ++s) {
    loads[next_.owner[s]] += static_cast<double>(plan_.shard_samples[s]);
  }
  // What is done besides is the same work on every rank.
  if (message.fixed_share >= 0 && message.fixed_share < 1) {
    fixed_samples_ = loads[0] * message.fixed_share / (1 - message.fixed_share);
  }
  for (std::size_t r = 0; r < group.size(); ++r) {
    nodes_.at(group[r]).speed.measure(loads[r], fixed_samples_, message.ranks[r].busy_seconds, message.step_seconds);
  }
  if (plan_.assignment == Assignment::adaptive) weigh(message);
}

// Asks for a pause where another map is worth it. The group then stands still for a moment; the map is
// kept until it does.
void Coordinator::weigh(const Pace& pace) {
  if (pause_asked_ || ending_) return;
  const std::vector<NodeId> group = members();
  if (candidates().size() != group.size()) return;
  const std::vector<double> speeds = speeds_of(group);
  Timing timing{{}, pace.step_seconds, pace.sum_seconds};
  for (const RankTime& rank : pace.ranks) timing.busy.push_back({rank.busy_seconds, rank.error});
  const auto move = better_map({plan_.shard_samples, plan_.units, fixed_samples_}, speeds, timing, next_.owner);
  const std::uint64_t left = plan_.total_steps - std::min(plan_.total_steps, pace.step);
  if (!move || !moves_.allows(now_, *move, left)) return;
  moves_.moved(now_);
  moving_ = Moving{group, move->owner, move->step_seconds, 0, false};
  Json shown = Json::array();
  for (const double speed : speeds) shown.push_back(samples_per_second(speed));
  out_.push_back(action::Announce{Json{{"event", "moving"},
                                       {"generation", generation_},
                                       {"step", pace.step},
                                       {"shards", count_moved(next_.owner, move->owner)},
                                       {"samples_per_second", std::move(shown)},
                                       {"step_seconds", move->step_seconds},
                                       {"gain_seconds", move->gain_seconds}}});
  ask_to_pause();
}

// What a move costs is from the last rank's pause to the first step of the next generation.
void Coordinator::learn_cost() {
  if (!moving_ || !moving_->started) return;
  moves_.cost(static_cast<double>(now_ - moving_->paused_ns) * 1e-9 - moving_->step_seconds);
  moving_.reset();
}

void Coordinator::announce_times() {
  Json nodes = Json::array();
  for (const NodeId id : members()) {
    const Node& node = nodes_.at(id);
    nodes.push_back({{"rank", *node.rank},
                     {"host", node.hello.host.str()},
                     {"pid", node.hello.pid},
                     {"shards", std::count(next_.owner.begin(), next_.owner.end(), *node.rank)},
                     {"busy_seconds", node.progress.busy_seconds},
                     {"wait_seconds", node.progress.wait_seconds},
                     {"communicate_seconds", node.progress.communicate_seconds}});
    if (plan_.deals_blocks()) {
      nodes.back()["blocks"] = std::count(next_.blocks.owner.begin(), next_.blocks.owner.end(), *node.rank);
    }
    if (const auto speed = node.speed.believed()) {
      nodes.back()["samples_per_second"] = samples_per_second(*speed);
    }
  }
  out_.push_back(action::Announce{Json{{"event", "nodes"}, {"nodes", std::move(nodes)}}});
}

}  // namespace dl::coord
