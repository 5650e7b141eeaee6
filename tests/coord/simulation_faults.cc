// SPDX-License-Identifier: MIT
// What goes wrong, and when.
#include <algorithm>

#include "simulation.h"

namespace dl::test {

using namespace coord;

Simulation::Node& Simulation::any_node() {
  auto at = nodes_.begin();
  std::advance(at, static_cast<std::ptrdiff_t>(rng_.below(nodes_.size())));
  return at->second;
}

// Until it is calm; then only what is missing comes.
void Simulation::disturb() {
  const bool calm = time_.now() > calm_from_;
  time_.after(between(50, calm ? 500 : 1'500), [this] { disturb(); });
  const std::size_t needed = std::max(plan_.nodes, plan_.min_nodes);
  if (calm) {
    if (nodes_.size() < needed) arrive();
    return;
  }
  ++tally_.faults;
  const std::uint64_t kind = rng_.below(20);
  if (nodes_.empty() || (kind < 4 && nodes_.size() < 5)) {
    arrive();
  } else if (kind < 12) {
    disturb(any_node());
  } else if (kind < 15) {
    disturb_mesh();
  } else {
    disturb_coordinator();
  }
}

void Simulation::disturb(Node& node) {
  const NodeId id = node.id;
  switch (rng_.below(6)) {
    case 0:
    case 1: process_ends(node.process, true); break;
    case 2: stop(node, between(200, 8'000)); break;
    case 3:
      note(fmt::format("process {} is to leave", node.process));
      node.leaving = true;
      stir(node.process);
      break;
    case 4: {  // its conversation breaks
      if (id == 0) break;
      note(fmt::format("process {}: the conversation breaks", node.process));
      node.up->cut([this, id] { serve(id, [this, id] { lost(id); }); });
      node.down->cut([this, id, process = node.process] {
        arrives(process, [this, id](Node& at) {
          if (at.id == id) hear(at, Closed{});
        });
      });
      break;
    }
    default: {  // it is cut off, in one direction or both
      if (id == 0) break;
      const std::int64_t ns = between(100, 15'000);
      note(fmt::format("process {}: silent for {} ms", node.process, ns / kMs));
      if (!chance(4)) node.up->silence(ns);
      if (!chance(4)) node.down->silence(ns);
    }
  }
}

void Simulation::stop(Node& node, std::int64_t ns) {
  if (std::exchange(node.stopped, true)) return;
  note(fmt::format("process {} is stopped for {} ms", node.process, ns / kMs));
  time_.after(ns, [this, process = node.process] {
    const auto found = nodes_.find(process);
    if (found == nodes_.end()) return;
    found->second.stopped = false;
    for (const auto& late : std::exchange(found->second.held, {})) late();
  });
}

bool Simulation::parted(Process a, Process b) const {
  const auto found = parted_.find(std::minmax(a, b));
  return found != parted_.end() && found->second > time_.now();
}

// They do not hear each other, in whatever group.
void Simulation::part(Process a, Process b, std::int64_t ns) {
  if (a == b) return;
  ++tally_.parted;
  note(fmt::format("{} and {} are parted for {} ms", a, b, ns / kMs));
  parted_[std::minmax(a, b)] = time_.now() + ns;
  for (const auto& [between, line] : mesh_) {
    const auto& [generation, from, to] = between;
    if (std::minmax(from, to) == std::minmax(a, b)) line->silence(ns);
  }
}

// Between two members of the newest group.
void Simulation::disturb_mesh() {
  if (parts_ && chance(2)) {
    const Process a = any_node().process, b = any_node().process;
    part(a, b, chance(2) ? between(5'000, 90'000) : 100'000'000 * kMs);
    return;
  }
  if (mesh_.empty()) return;
  const auto& [generation, from, to] = mesh_.rbegin()->first;
  const std::int64_t ns = between(100, 5'000);
  if (!chance(3)) {
    note(fmt::format("generation {}: {} and {} do not hear each other for {} ms", generation, from, to, ns / kMs));
    mesh_line(generation, from, to)->silence(ns);
    mesh_line(generation, to, from)->silence(ns);
    return;
  }
  const auto found = nodes_.find(from);
  if (found == nodes_.end() || !found->second.group || found->second.group->start.generation != generation) return;
  note(fmt::format("generation {}: the connections of {} break", generation, from));
  found->second.group->broken = true;
  stir(from);
}

void Simulation::disturb_coordinator() {
  if (!coordinator_) return;
  switch (rng_.below(8)) {
    case 0: coordinator_dies("killed"); break;
    case 1: dies_in_ = static_cast<int>(1 + rng_.below(40)); break;
    case 2:
      coordinator_dies("the power fails");
      disk_.power_fails(rng_);
      break;
    case 3: {
      const std::int64_t ns = between(100, 6'000);
      note(fmt::format("coordinator is frozen for {} ms", ns / kMs));
      if (std::exchange(frozen_, true)) break;
      time_.after(ns, [this, start = starts_] {
        if (!frozen_ || starts_ != start) return;
        frozen_ = false;
        if (chance(2)) tell(event::Tick{});  // before it reads what has come
        for (const auto& late : std::exchange(held_, {})) late();
      });
      break;
    }
    case 4:
      note("the disk is full");
      if (std::exchange(disk_full_, true)) break;
      time_.after(between(200, 5'000), [this] { disk_full_ = false; });
      break;
    case 5:
      if (chance(3)) tell(event::StopAsked{143, "stop"});
      break;
    default: tell(event::CheckpointAsked{}); break;
  }
}

}  // namespace dl::test
