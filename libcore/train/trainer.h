// SPDX-License-Identifier: MIT
// Drives a run, or what is left of it, in one group: round after round of the run's strategy, and at the
// borders of epochs judgements, reports and checkpoints.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "coord/messages.h"
#include "train/strategy.h"

namespace dl::train {

enum class Ending { finished, paused };

// What the trainer says outwards; called on the training thread.
struct Hooks {
  std::function<std::uint32_t()> wanted_bits;             // coord::Signal bits to ask the group for
  std::function<void(const coord::Progress&)> progress;   // after every round
  std::function<void(const coord::Pace&)> pace;           // rank 0 only, when it has changed; may be empty
  std::function<void(const Json&)> report;                // rank 0 only
  std::function<void(coord::StateReason)> save;           // rank 0 only: take the replica's state now
  // Seat's, and as there; every rank.
  std::function<void()> at_work = {};
  std::function<void(std::uint64_t first, std::uint64_t last, const Bytes& record)> updates = {};
};

// Runs from the replica's step until the run is complete, has stopped early, or the group agreed to
// pause. `data` must hold this rank's shards; `make_communicator` is called once, with the plan of
// the sums. Throws comm::RoundAborted when the group breaks (see Strategy::round for what the replica
// holds then). A loss that is not finite is 65.
class Trainer {
 public:
  using MakeCommunicator =
      std::function<std::unique_ptr<comm::Communicator>(const comm::SumPlan& plan)>;

  Trainer(const RunConfig& config, Replica& replica, TrainingData& data, const Group& group,
          const MakeCommunicator& make_communicator, const Hooks& hooks);
  ~Trainer();

  Ending run();
  // After `finished`: the figures for dl-coord's `done` line.
  Json summary() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dl::train
