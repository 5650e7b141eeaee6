// SPDX-License-Identifier: MIT
// The promises (design.md, section 11), held against what has happened.
#include <algorithm>
#include <iostream>

#include "simulation.h"

namespace dl::test {

using namespace coord;

namespace {

constexpr std::int64_t kLastStep = 30;

}  // namespace

void Simulation::breach(const std::string& what) const {
  throw Breach(fmt::format("seed {}, at {:.3f} s: {}", scenario_.seed, static_cast<double>(time_.now()) * 1e-9, what));
}

void Simulation::note(const std::string& what) const {
  if (scenario_.trace) std::cerr << fmt::format("{:9.3f} {}\n", static_cast<double>(time_.now()) * 1e-9, what);
}

void Simulation::check_after_event() {
  if (coordinator_) {
    if (generation_of_ == starts_ && coordinator_->generation() < generation_) breach("the generation went back");
    generation_ = coordinator_->generation();
    generation_of_ = starts_;
  }
  const auto newest = disk_.newest();
  if (announced_ > 0 && (!newest || newest->step() < announced_)) breach("the newest checkpoint is older than the one announced");
}

void Simulation::check_start(NodeId id, const Start& start) {
  const auto require = [&](bool holds, const char* what) {
    if (!holds) breach(fmt::format("generation {}, rank {}: {}", start.generation, start.rank, what));
  };
  require(groups_.empty() || start.generation >= groups_.rbegin()->first, "an older generation starts");
  require(ranks_.emplace(start.generation, start.rank).second, "the generation has been before");
  require(start.rank < start.members.size(), "no such rank");
  require(start.owner.size() == plan_.shard_samples.size(), "not every shard has an owner");
  const auto [at, fresh] = groups_.try_emplace(start.generation, start);
  const Start& first = at->second;
  require(first.step == start.step, "another step than the other ranks");
  require(std::equal(first.owner.begin(), first.owner.end(), start.owner.begin(), start.owner.end()), "another map");
  require(first.members.size() == start.members.size(), "other members");

  require(paused_.contains(id) && paused_[id].generation == start.generation, "a node starts that is not paused");
  require(loads_[id].generation == start.generation && loaded_[id] == start.generation, "a node starts before it has its shards");
  std::vector<std::uint32_t> mine;
  for (std::uint32_t shard = 0; shard < start.owner.size(); ++shard) {
    require(start.owner[shard] < start.members.size(), "a shard of nobody");
    if (start.owner[shard] == start.rank) mine.push_back(shard);
  }
  const auto& loaded = loads_[id].shards.items();
  require(std::equal(mine.begin(), mine.end(), loaded.begin(), loaded.end()), "other shards than were loaded");

  const auto step = static_cast<std::int64_t>(start.step);
  require(step >= std::max<std::int64_t>(kept_ ? kept_->step() : -1, 0), "older than the kept state");
  for (const auto& [other, said] : paused_) {
    if (said.generation == start.generation && peers_.contains(other)) require(step >= said.step, "the highest step does not win");
  }
  const std::int64_t has = paused_[id].step;
  require(has == step || (step == 0 && has == -1) || served_[id] == step, "a node starts without the state");
}

// Every shard of the step once, and all of this generation.
void Simulation::check_sum(const Node& node, const std::map<std::uint32_t, std::vector<Contribution>>& came) {
  const Start& start = node.group->start;
  std::vector<int> counted(start.owner.size());
  for (const auto& [rank, given] : came) {
    for (const Contribution& contribution : given) {
      if (contribution.generation != start.generation) {
        breach(fmt::format("generation {}: a sum of generation {} counts", start.generation, contribution.generation));
      }
      for (const std::uint32_t shard : contribution.shards) ++counted[shard];
    }
  }
  for (std::size_t shard = 0; shard < counted.size(); ++shard) {
    if (counted[shard] != 1) {
      breach(fmt::format("step {}: shard {} counts {} times", node.state->step() + 1, shard, counted[shard]));
    }
  }
}

void Simulation::check_checkpoint(std::int64_t step) {
  if (step < announced_) breach("a checkpoint is announced that is older than the one before");
  announced_ = step;
  const auto newest = disk_.newest();
  if (!newest || newest->step() < step) breach("a checkpoint is announced that is not there");
}

// The ledger knows a generation for every step, and no earlier one than made it. A later one it may name: a group
// that was cut off from its coordinator goes on, and its state wins when it comes back, over steps that the
// ledger gave to the group after it.
void Simulation::check_lineage(const std::vector<std::uint32_t>& made_in) {
  const std::vector<std::uint32_t> told = disk_.lineage(static_cast<std::int64_t>(made_in.size()));
  for (std::size_t s = 0; s < made_in.size(); ++s) {
    if (made_in[s] == 0) breach(fmt::format("step {} was made of parts that were with others", s + 1));
    if (told[s] < made_in[s]) {
      breach(fmt::format("step {} was made in generation {}, the ledger says {}", s + 1, made_in[s], told[s]));
    }
  }
}

void Simulation::check_finish(int code) {
  const std::int64_t newest = disk_.newest() ? disk_.newest()->step() : -1;
  if (code == 0) {
    if (newest != kLastStep) breach("done, and the last state is not there");
    check_lineage(disk_.newest()->made_in);
  } else if (code == 143) {
    for (const auto& [id, step] : farewell_) {
      if (step > std::max<std::int64_t>(newest, 0)) breach(fmt::format("stopped, and step {} is thrown away", step));
    }
  } else if (code != 74 && !(parts_ && code == 69)) {
    breach(fmt::format("ended with {}", code));
  }
  farewell_.clear();
}

}  // namespace dl::test
