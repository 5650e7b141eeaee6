// SPDX-License-Identifier: MIT
// Synchronous training: every step, the shards' gradients are added in the canonical tree over the
// whole group, and every node applies the same update.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "comm/communicator.h"
#include "coord/messages.h"
#include "train/group.h"
#include "train/replica.h"
#include "train/run_config.h"
#include "train/training_data.h"

namespace dl::train {

enum class Ending { finished, paused };

// What the loop says outwards; called on the training thread.
struct Hooks {
  std::function<std::uint32_t()> wanted_bits;             // coord::Signal bits to ask the group for
  std::function<void(const coord::Progress&)> progress;   // after every step
  std::function<void(const Json&)> report;                // rank 0 only
  std::function<void(coord::StateReason)> save;           // rank 0 only: take the replica's state now
};

// Runs from the replica's step until the run is complete, has stopped early, or the group agreed to
// pause. `data` must hold this rank's shards; `make_communicator` is called once, with the plan of
// the sums. Throws comm::RoundAborted when the group breaks: the
// replica then holds the state of the last applied update. A loss that is not finite is 65.
class Sync {
 public:
  using MakeCommunicator =
      std::function<std::unique_ptr<comm::Communicator>(const comm::SumPlan& plan)>;

  Sync(const RunConfig& config, Replica& replica, TrainingData& data, const Group& group,
       const MakeCommunicator& make_communicator, const Hooks& hooks);
  ~Sync();

  Ending run();
  // After `finished`: the figures for dl-coord's `done` line.
  Json summary() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dl::train
