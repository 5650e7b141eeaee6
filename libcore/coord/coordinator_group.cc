// SPDX-License-Identifier: MIT
// How a group forms: who is in, whose state wins, which shard, layer or block is whose.
#include <algorithm>

#include "coord/coordinator.h"

namespace dl::coord {

namespace {

constexpr std::size_t kMostMembers = decltype(Start::members)::kMost;

bool loopback(const std::string& address) {
  return address.starts_with("127.") || address == "::1" || address == "localhost";
}

}  // namespace

std::vector<NodeId> Coordinator::members() const {
  std::vector<NodeId> out;
  for (const auto& [id, node] : nodes_) {
    if (node.rank) out.push_back(id);
  }
  std::sort(out.begin(), out.end(),
            [this](NodeId a, NodeId b) { return *nodes_.at(a).rank < *nodes_.at(b).rank; });
  return out;
}

std::vector<NodeId> Coordinator::ready_nodes() const {
  std::vector<NodeId> out;
  for (const NodeId id : members()) {
    if (nodes_.at(id).ready) out.push_back(id);
  }
  for (const auto& [id, node] : nodes_) {
    if (node.ready && !node.rank) out.push_back(id);
  }
  return out;
}

std::vector<NodeId> Coordinator::candidates() const {
  std::vector<NodeId> ready = ready_nodes();
  std::erase_if(ready, [this](NodeId id) { return nodes_.at(id).out.has_value(); });
  return ready;
}

std::uint32_t Coordinator::needed() const {
  const bool all = !started_ || plan_.on_loss == OnLoss::wait;
  return std::max(1U, all ? std::max(plan_.nodes, plan_.min_nodes) : plan_.min_nodes);
}

// The ranks of the group that was stay until the next Start: they name who is lost in between.
void Coordinator::form() {
  ++generation_;
  phase_ = Phase::forming;
  pause_asked_ = false;
  holder_.reset();
  deadline_ns_ = barren_.since_ns.value_or(now_) + plan_.wait_ns;
  for (auto& [id, node] : nodes_) {
    node.paused.reset();
    node.broken.clear();
    node.missed = false;
    node.done.reset();
    if (node.ready) pause(id);
  }
  proceed();
}

void Coordinator::pause(NodeId id) {
  nodes_.at(id).asked = true;
  stir(id);
  send(id, Pause{generation_});
}

void Coordinator::fetch(NodeId holder, std::int64_t step) {
  holder_ = holder;
  holder_step_ = step;
  phase_ = Phase::fetching;
  nodes_.at(holder).asked = true;
  stir(holder);
  send(holder, SendState{});
}

void Coordinator::ask_to_pause() {
  if (std::exchange(pause_asked_, true)) return;
  send(members().front(), Signal{Signal::kPause});
}

void Coordinator::proceed() {
  if (phase_ != Phase::forming) return;
  const std::vector<NodeId> ready = ready_nodes();
  const auto paused = [this](NodeId id) { return nodes_.at(id).paused.has_value(); };
  if (ending_) {
    const auto owes = [&](NodeId id) { return nodes_.at(id).asked && !paused(id); };
    if (std::none_of(ready.begin(), ready.end(), owes)) save_and_end();
    return;
  }
  std::vector<NodeId> group = candidates();
  if (group.size() < needed() || !std::all_of(ready.begin(), ready.end(), paused)) return;

  std::int64_t best = kept_step_;
  for (const NodeId id : ready) best = std::max(best, *nodes_.at(id).paused);
  // Who has no place stands by.
  group.resize(places(group.size()));
  std::vector<NodeId> laggards;
  // Every node makes the state of step 0 by itself, unless the run began with a given one.
  if (best > 0 || kept_step_ == best) {
    for (const NodeId id : group) {
      if (*nodes_.at(id).paused < best) laggards.push_back(id);
    }
  }
  if (!laggards.empty() && kept_step_ != best) {
    for (const NodeId id : ready) {
      if (*nodes_.at(id).paused != best) continue;
      fetch(id, best);
      return;
    }
  }
  load({.group = std::move(group),
        .owner = {},
        .split = {},
        .blocks = {},
        .laggards = std::move(laggards),
        .step = std::max<std::int64_t>(best, 0)});
}

std::size_t Coordinator::stages_of(std::size_t nodes) const {
  if (plan_.layers.empty()) return 0;
  const std::size_t wanted = plan_.stages > 0 ? plan_.stages : plan_.layers.size();
  return std::max<std::size_t>(1, std::min({wanted, plan_.layers.size(), nodes, kMostMembers}));
}

// A shard is on one node, or in a pipeline in one column of as many nodes as there are stages; a block of
// hidden units is on one node.
std::size_t Coordinator::places(std::size_t nodes) const {
  if (plan_.deals_blocks()) return std::min({nodes, plan_.blocks.flops.size(), kMostMembers});
  const std::size_t high = std::max<std::size_t>(1, stages_of(nodes));
  const std::size_t tasks = std::max<std::size_t>(1, plan_.tasks());
  return high * std::min({nodes / high, tasks, kMostMembers / high});
}

BlockMap Coordinator::blocks_of(const std::vector<NodeId>& group) const {
  // A multiply-add is two operations; where somebody has declared nothing, speeds are numbers of threads.
  const double unit = all_declared(group) ? 2 : kFlopsOfThread;
  std::vector<double> speeds = speeds_of(group);
  for (double& speed : speeds) speed *= unit;
  if (plan_.assignment == Assignment::balanced) return split_blocks(plan_.blocks, speeds);
  const std::vector<std::uint64_t> costs(plan_.blocks.flops.begin(), plan_.blocks.flops.end());
  BlockMap map{assign(plan_.assignment, {costs, {}}, speeds, plan_.seed, generation_), 0};
  map.seconds = predict_step(plan_.blocks, map.owner, speeds);
  return map;
}

// Shards to nodes, or to columns; layers to stages. Rank r is of stage r / columns.
void Coordinator::deal() {
  if (plan_.deals_blocks()) {  // every rank computes with all shards; the first one stands for them
    next_.owner.assign(plan_.shard_samples.size(), 0);
    next_.blocks = blocks_of(next_.group);
    return;
  }
  const std::size_t stages = stages_of(next_.group.size());
  if (stages == 0) {
    next_.owner = map_of(next_.group);
    return;
  }
  const std::size_t columns = next_.group.size() / stages;
  const std::vector<double> speeds = speeds_of(next_.group);
  std::vector<double> of_column(columns, 0);
  std::vector<std::uint32_t> slowest(stages, UINT32_MAX);
  for (std::size_t rank = 0; rank < speeds.size(); ++rank) {
    const std::uint32_t threads = std::max(1U, nodes_.at(next_.group[rank]).hello.threads);
    slowest[rank / columns] = std::min(slowest[rank / columns], threads);
    of_column[rank % columns] += speeds[rank];
  }
  const std::size_t micro_batches = std::max<std::size_t>(1, plan_.shard_samples.size() / columns);
  next_.split = split_layers(plan_.layers, slowest, static_cast<std::uint32_t>(micro_batches));
  next_.owner = assign(plan_.assignment, {plan_.shard_samples, {}}, of_column, plan_.seed, generation_);
}

void Coordinator::load(Next next) {
  next_ = std::move(next);
  deal();
  phase_ = Phase::loading;
  for (std::uint32_t rank = 0; rank < next_.group.size(); ++rank) {
    Load message{generation_, {}};
    for (std::uint32_t shard = 0; shard < next_.owner.size(); ++shard) {
      if (next_.owner[shard] == rank || plan_.deals_blocks()) message.shards.push_back(shard);
    }
    const NodeId id = next_.group[rank];
    nodes_.at(id).asked = true;
    nodes_.at(id).loaded = false;
    stir(id);
    send(id, std::move(message));
  }
}

Json Coordinator::shards_of(std::uint32_t rank) const {
  Json ranges = Json::array();
  const auto& owner = next_.owner;
  for (std::size_t shard = 0; shard < owner.size(); ++shard) {
    if (owner[shard] != rank && !plan_.deals_blocks()) continue;
    if (ranges.empty() || ranges.back()[1] != shard - 1) ranges.push_back({shard, shard});
    ranges.back()[1] = shard;
  }
  return ranges;
}

// What is told of the new generation comes first, and nobody works in it before that is on the disk: so a
// coordinator that is killed at any moment and started again goes on above it.
void Coordinator::announce() {
  next_.announced_ns = now_;
  const std::vector<NodeId>& group = next_.group;
  const std::int64_t step = next_.step;
  for (auto& [id, node] : nodes_) node.rank.reset();
  for (std::uint32_t rank = 0; rank < group.size(); ++rank) {
    nodes_.at(group[rank]).rank = rank;
    nodes_.at(group[rank]).shards = shards_of(rank);
  }
  for (const NodeId id : group) {
    Node& node = nodes_.at(id);
    if (std::exchange(node.announced, true)) continue;
    out_.push_back(action::Announce{Json{{"event", "joined"},
                                         {"rank", *node.rank},
                                         {"host", node.hello.host.str()},
                                         {"pid", node.hello.pid},
                                         {"threads", node.hello.threads},
                                         {"kernel", node.hello.kernel.str()},
                                         {"generation", generation_},
                                         {"step", step}}});
  }
  Json formed{{"event", "group"},
              {"generation", generation_},
              {"step", step},
              {"nodes", group.size()},
              {"owner", next_.owner}};
  if (!next_.split.layers.empty()) {
    formed["stages"] = next_.split.layers;
    formed["predicted_step_seconds"] = next_.split.seconds;
  }
  if (plan_.deals_blocks()) {
    formed["blocks"] = next_.blocks.owner;
    formed["predicted_step_seconds"] = next_.blocks.seconds;
  }
  out_.push_back(action::Announce{std::move(formed)});
  out_.push_back(action::Record{generation_});
}

void Coordinator::take(const event::Recorded& event) {
  if (phase_ == Phase::loading && next_.announced_ns && event.generation == generation_) start();
}

void Coordinator::take(const event::NotRecorded& event) {
  if (phase_ == Phase::loading && event.generation == generation_) next_.not_recorded = event.text;
}

// A generation that is on no disk could come twice, so the group stands still until there is room for it.
void Coordinator::record_again() {
  if (phase_ != Phase::loading || next_.not_recorded.empty()) return;
  const std::string why = std::exchange(next_.not_recorded, "");
  if (now_ - *next_.announced_ns <= plan_.wait_ns) {
    out_.push_back(action::Record{generation_});
    return;
  }
  const std::string text = fmt::format("generation {} cannot begin, since it cannot be recorded: {}", generation_, why);
  end(static_cast<int>(Exit::io), text, text);
}

void Coordinator::start() {
  const std::vector<NodeId>& group = next_.group;
  for (auto& [id, node] : nodes_) {
    node.paused.reset();
    node.done.reset();
  }
  for (const NodeId id : group) {
    nodes_.at(id).speed.begin_period();
    stir(id);
  }
  for (const NodeId id : next_.laggards) out_.push_back(action::Serve{id});
  for (std::uint32_t rank = 0; rank < group.size(); ++rank) {
    const Node& node = nodes_.at(group[rank]);
    Start message{generation_, rank, static_cast<std::uint64_t>(next_.step), {}, next_.owner, next_.split.layers,
                  next_.blocks.owner};
    for (const NodeId other : group) {
      const Node& peer = nodes_.at(other);
      // A peer on our own machine came over loopback; others find it where they found us.
      const std::string& host = loopback(peer.address) ? node.via : peer.address;
      message.members.push_back({host, peer.hello.mesh_port});
    }
    send(group[rank], std::move(message));
  }
  // The one that was asked before may have been with a round that broke.
  if (checkpoint_asked_) send(group.front(), Signal{Signal::kCheckpoint});
  phase_ = Phase::running;
  group_generation_ = generation_;
  started_ = true;
  pause_asked_ = false;
  moved_on_ = false;
  newest_step_ = next_.step;
  if (moving_ && moving_->group == group && moving_->paused_ns > 0) {
    moving_->started = true;
  } else {
    moving_.reset();  // something else came between
  }
  final_step_ = -1;
}

}  // namespace dl::coord
