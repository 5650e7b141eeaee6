// SPDX-License-Identifier: MIT
// The coordinator's disk as far as the run depends on it: what was renamed into place, what of it is sure to be
// there when the power fails, and the ledger.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/rng.h"

namespace dl::test {

// A state is known by who made it: the generation that applied each of its steps (0: parts of it are missing).
// States of one step are equal, whoever made them, if each step was made of every shard once.
struct SimulatedState {
  std::vector<std::uint32_t> made_in;
  std::int64_t step() const { return static_cast<std::int64_t>(made_in.size()); }
  bool operator==(const SimulatedState&) const = default;
};

class SimulatedDisk {
 public:
  // The calls of a commit; the caller takes time between them, and may be killed there.
  void rename(const SimulatedState& state, bool content_synced) {
    const auto before = files_.find(state.step());
    const bool over = before != files_.end() && (before->second.name_synced || before->second.over_another);
    files_[state.step()] = {state, content_synced, false, over};
  }
  void sync_names() {
    for (auto& [step, file] : files_) file.name_synced = true;
    while (files_.size() > 2) files_.erase(files_.begin());
  }

  void power_fails(Rng& rng) {
    for (auto at = files_.begin(); at != files_.end();) {
      File& file = at->second;
      const bool named = file.name_synced || rng.below(2) == 0;
      const bool old_one = !named && file.over_another;  // that one is still there, and whole
      const bool whole = file.content_synced || rng.below(2) == 0;  // a name without its content does not load
      if (old_one || (named && whole)) {
        file = {file.state, true, true, false};
        ++at;
      } else {
        at = files_.erase(at);
      }
    }
  }

  std::optional<SimulatedState> newest() const {
    if (files_.empty()) return std::nullopt;
    return files_.rbegin()->second.state;
  }

  struct Group {
    std::uint32_t generation = 0;
    std::int64_t step = 0;
  };
  // Who applied the steps up to `step`, as the ledger tells it: a group cuts off what those before it did
  // beyond its own first step.
  std::vector<std::uint32_t> lineage(std::int64_t step) const {
    std::vector<std::uint32_t> made_in;
    for (const Group& group : ledger) {
      if (static_cast<std::int64_t>(made_in.size()) > group.step) made_in.resize(static_cast<std::size_t>(group.step));
      made_in.resize(static_cast<std::size_t>(std::max(group.step, step)), 0);
      for (std::int64_t s = group.step; s < step; ++s) made_in[static_cast<std::size_t>(s)] = group.generation;
    }
    made_in.resize(static_cast<std::size_t>(step), 0);
    return made_in;
  }

  std::uint32_t generation = 0;  // of run.json
  std::vector<Group> ledger;
  // What a coordinator that starts goes on above.
  std::uint32_t newest_generation() const {
    return std::max(generation, ledger.empty() ? 0 : ledger.back().generation);
  }

 private:
  struct File {
    SimulatedState state;
    bool content_synced = false, name_synced = false;
    bool over_another = false;  // that was sure to be there under this name
  };
  std::map<std::int64_t, File> files_;  // by step
};

}  // namespace dl::test
