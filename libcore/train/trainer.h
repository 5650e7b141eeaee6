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
// holds then).
//
// A round whose loss or gradient is not finite is refused: nothing of it is applied. What follows is the same on
// every rank and in every start, since all look at the same sums (RunConfig::on_nan):
//   stop      65, with the shard's name.
//   skip      Its samples count as used, and the run goes on after it with the parameters that it has.
//   rollback  The same, but parameters and all that is remembered are those of the newest checkpoint that was due
//             (checkpoint_every, or the end of an epoch; the run's begin). The rounds since then are left out like
//             this one: what blows up was often on its way before. No round is done again, as it would end alike.
// Where a checkpoint is due, or the run ends, and the state itself is not finite (an update that overflowed), the
// round before it is refused too; skip cannot take an update back, and ends with 65.
//
// With RunConfig::mirror_every, in a run that is held apart: where the group begins, and at the end of the round that
// reaches a multiple of so many steps, every rank makes its state whole (Strategy::settle) and keeps a copy of it
// (Replica::keep_mirror). The copy before stays until the new one is whole, so a rank has one at any time, and who is
// left of a group that breaks has the state of at most so many steps ago. Nothing of this reaches a parameter; in mode
// async a round ends there.
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
