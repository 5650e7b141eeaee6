// SPDX-License-Identifier: MIT
// Groups that form and get nowhere, though nobody is lost: nodes that reach the coordinator and not each other, a
// link that breaks again and again. Each such group is told of; after a few in a row somebody is left out, so that
// the others go on, or wait for more. Who is left out stays and stands by, and is tried again, ever more rarely.
#include <algorithm>

#include "coord/coordinator.h"

namespace dl::coord {

namespace {

// A node that still receives the state when the others give it up costs one or two groups, and is none of these.
constexpr std::uint32_t kMostBarren = 3;
constexpr std::int64_t kOutNs = 60'000'000'000, kLongestOutNs = 3'600'000'000'000;

}  // namespace

// All members are paused. Where nobody says why, they agreed to; else the first one with a reason tells it for all,
// rather one who knows whom it did not meet. One step is none: where two do not hear each other, a third one may have
// heard both.
void Coordinator::group_broke() {
  std::int64_t best = kept_step_;
  std::optional<NodeId> teller;
  for (const NodeId id : members()) {
    const Node& node = nodes_.at(id);
    best = std::max(best, *node.paused);
    if (!node.broken.empty() && (!teller || (!nodes_.at(*teller).missed && node.missed))) teller = id;
  }
  if (!teller || best > next_.step + 1) barren_ = {};
  if (!teller) return;
  const Node& node = nodes_.at(*teller);
  out_.push_back(action::Announce{Json{{"event", "broken"},
                                       {"rank", *node.rank},
                                       {"host", node.hello.host.str()},
                                       {"pid", node.hello.pid},
                                       {"reason", node.broken},
                                       {"generation", generation_},
                                       {"step", std::max<std::int64_t>(best, 0)}}});
  if (best <= next_.step + 1) count_barren();
}

void Coordinator::count_barren() {
  if (!barren_.since_ns && !moved_on_) barren_.since_ns = now_;
  if (++barren_.groups >= kMostBarren) leave_out();
}

// Everybody has applied a step. Whether it lasts is seen when the group ends.
void Coordinator::moved_on() {
  if (std::exchange(moved_on_, true)) return;
  barren_.since_ns.reset();
  standstills_ = 0;
  for (const NodeId id : members()) nodes_.at(id).times_out = 0;
}

// Whom most others did not meet goes first, the highest rank of those, until all who are left have met. Where nobody
// knows anything, the highest rank.
void Coordinator::leave_out() {
  const std::vector<NodeId> group = members();
  std::vector<NodeId> rest = group;
  const auto misses = [&](NodeId id) {
    std::uint64_t sum = 0;
    for (const NodeId other : rest) {
      const auto found = other == id ? barren_.unmet.end() : barren_.unmet.find(std::minmax(id, other));
      if (found != barren_.unmet.end()) sum += found->second;
    }
    return sum;
  };
  while (rest.size() > 1) {
    auto worst = rest.begin();
    for (auto at = rest.begin(); at != rest.end(); ++at) {
      if (misses(*at) >= misses(*worst)) worst = at;
    }
    if (misses(*worst) == 0 && rest.size() < group.size()) break;
    const NodeId out = *worst;
    rest.erase(worst);
    leave_out(out, group);
  }
  barren_.groups = 0;
  barren_.unmet.clear();
  if (rest.size() < group.size() && plan_.on_loss == OnLoss::stop && !ending_) {
    ending_ = Ending{static_cast<int>(Exit::unavailable), "a node was left out, and --on-loss is stop"};
  }
}

void Coordinator::leave_out(NodeId id, const std::vector<NodeId>& group) {
  Node& node = nodes_.at(id);
  node.out.emplace();
  std::string names;
  for (std::uint32_t rank = 0; rank < group.size(); ++rank) {
    if (group[rank] == id || !barren_.unmet.contains(std::minmax(id, group[rank]))) continue;
    node.out->from.insert(group[rank]);
    if (node.out->from.size() > 8) continue;
    names += fmt::format("{}rank {} ({})", names.empty() ? "" : ", ", rank, nodes_.at(group[rank]).hello.host.str());
  }
  if (node.out->from.size() > 8) names += fmt::format(" and {} more", node.out->from.size() - 8);
  if (names.empty()) {
    for (const NodeId other : group) {
      if (other != id) node.out->from.insert(other);
    }
  }
  const std::int64_t ns = std::min(kLongestOutNs, kOutNs << std::min(node.times_out++, 10U));
  node.out->until_ns = now_ + ns;
  announce_lost(node, fmt::format("left out for {:g} s: {} groups in a row got nowhere{}",
                                  static_cast<double>(ns) * 1e-9, barren_.groups,
                                  names.empty() ? "" : ", and it does not reach " + names));
  node.rank.reset();
  node.announced = false;
}

// When its time is over, or nobody is left whom it does not reach.
void Coordinator::take_back() {
  if (ending_ || (phase_ != Phase::forming && phase_ != Phase::running)) return;
  bool any = false;
  for (auto& [id, node] : nodes_) {
    if (!node.out) continue;
    const auto& from = node.out->from;
    const bool alone = std::none_of(from.begin(), from.end(), [this](NodeId other) { return nodes_.contains(other); });
    if (!alone && now_ < node.out->until_ns) continue;
    node.out.reset();
    any = true;
  }
  if (!any) return;
  if (phase_ == Phase::forming) {
    proceed();
  } else if (members().size() < places(candidates().size())) {
    ask_to_pause();
  }
}

}  // namespace dl::coord
