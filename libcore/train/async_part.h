// SPDX-License-Identifier: MIT
// One part of the parameters in asynchronous training, as its owner keeps it: a pure state machine, gradients
// in, updates out. No socket, thread or clock.
//
// One update per S gradients that have come, S the number of shards: update v (from 0) follows the arrival
// that brings their number to (v + 1) S or more, and takes all that wait. An update, in float32 and in this
// order:
//   each contribution, where tau updates of this part lie between what its gradient g was computed at and now:
//     tau > 0, with delay compensation lambda:  g = g + ((lambda / weight * g) * g) * (w - w_read)
//                                                            (Zheng et al. 2017, DC-ASGD, for sums over samples)
//     tau > 0:                                  g = g * (1 / (1 + tau))      (Zhang et al. 2016)
//   the contributions of one step are added in the canonical tree, where subtrees that are not there are left
//   out; the steps' sums one after the other, the oldest first; weights the same way in double
//   the optimizer's update number v + 1 with the sum over the weight (optim/optimizer.h)
// So where every update takes exactly one step's gradients, all computed at its version, the bits are sync's.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "nn/model.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"
#include "train/round_record.h"

namespace dl::train {

// Part `part` of `parts`, of a vector of so many elements: begins at a multiple of 16, may be empty.
nn::ElementRange part_range(std::uint64_t elements, std::uint32_t parts, std::uint32_t part);

struct UpdateRule {
  optim::OptimizerSpec optimizer;   // without a clipping norm: no part knows the whole gradient
  optim::ScheduleSpec schedule;
  double delay_compensation = 0;    // lambda
  std::uint32_t shards = 0;
  std::vector<Unit> units;          // together all shards
};

// A unit's gradient of one step, cut to the part: the sum over the unit's samples.
struct Contribution {
  std::uint32_t unit = 0;
  std::uint64_t step = 0;
  std::uint64_t read = 0;  // version of this part that it was computed at
  double weight = 0;
  std::vector<float> gradient;
};

class PartOwner {
 public:
  // The version is the number of updates of the run so far. Takes the part's slice of the parameters and of
  // each slot.
  PartOwner(UpdateRule rule, std::uint64_t version, std::span<const float> values,
            std::span<const std::span<const float>> slots);

  // True where an update was applied. Each unit's contributions come step by step; what does not fit is 65.
  bool arrive(Contribution contribution);

  const UpdateRule& rule() const { return rule_; }
  std::uint64_t version() const { return version_; }
  std::span<const float> values() const { return values_; }
  std::span<const float> slot(std::size_t i) const { return slots_[i]; }
  // Steps of the run whose gradients of all units of this rank are applied; UINT64_MAX where it has no unit.
  std::uint64_t applied(std::uint32_t rank) const;
  std::size_t waiting() const { return waiting_.size(); }

 private:
  struct Progress {                // of a unit, in steps of the run
    std::uint64_t arrived = 0;
    std::uint64_t applied = 0;
    std::uint64_t read = 0;        // version, of its newest contribution
  };
  void check(const Contribution& contribution) const;
  void update();
  void weaken(Contribution& contribution) const;
  void forget_past();

  const UpdateRule rule_;
  std::uint64_t version_;
  std::uint64_t gradients_ = 0;    // of shards, arrived since the owner's first version
  const std::uint64_t first_version_;
  std::vector<float> values_;
  std::vector<std::vector<float>> slots_;
  std::vector<Progress> progress_;
  std::vector<Contribution> waiting_;
  std::deque<std::vector<float>> past_;  // values of the versions before this one, the newest last
};

}  // namespace dl::train
