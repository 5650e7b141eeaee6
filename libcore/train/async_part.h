// SPDX-License-Identifier: MIT
// One part of the parameters in asynchronous training, as its owner keeps it: a pure state machine, gradients
// in, updates out. No socket, thread or clock.
//
// One update per S gradients that have come, S the number of shards: update v (from 0) follows the arrival
// that brings their number to (v + 1) S or more, and takes all that wait then. An update, in float32 and in this
// order:
//   each contribution, where tau updates of this part lie between what its gradient g was computed at and now:
//     tau > 0, with delay compensation lambda:  g = g + ((lambda / weight * g) * g) * (w - w_read)
//                                                            (Zheng et al. 2017, DC-ASGD, for sums over samples)
//     tau > 0:                                  g = g * (1 / (1 + tau))      (Zhang et al. 2016)
//   the contributions of one step are added in the canonical tree (train/unit_sums.h), where subtrees that are not
//   there are left out; the steps' sums one after the other, the oldest first; weights the same way in double, but
//   each step's in the tree over its shards
//   the optimizer's update number v + 1 with the sum over the weight (optim/optimizer.h)
// So where every update takes exactly one step's gradients, all computed at its version, the bits are sync's.
//
// With a clipping norm, update v of all parts is one gradient, of which each owner has a part. An owner that has made
// its total tells the others its share of the norm (optim/squares.h), and applies it when it has all of theirs. No
// rank's computing is waited for: what brings an update about is on its way to every owner. Meanwhile contributions
// come and further updates fall due; they wait their turn. Where parts have totals of different weights (staleness),
// each part's elements count by the weight of its own.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "nn/model.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"
#include "optim/squares.h"
#include "train/round_record.h"
#include "train/unit_sums.h"

namespace dl::train {

struct UpdateRule {
  optim::OptimizerSpec optimizer;
  optim::ScheduleSpec schedule;
  double delay_compensation = 0;    // lambda
  std::uint32_t shards = 0;
  std::uint32_t groups = 0;         // of shards that are compressed together, each a unit; 0: none
  std::vector<Unit> units;          // together all shards
  std::vector<nn::ElementRange> parts;  // of all owners
};

// A unit's gradient of one step, cut to the part: the sum over the unit's samples.
struct Contribution {
  std::uint32_t unit = 0;
  std::uint64_t step = 0;
  std::uint64_t read = 0;  // version of this part that it was computed at
  std::vector<double> weights;  // by shard of the unit
  std::vector<float> gradient;
};

// What a part contributes to the norm of an update.
struct NormShare {
  std::uint64_t version = 0;  // that the update is made to
  double weight = 0;
  Bytes squares;              // optim::write_squares_share
};

class PartOwner {
 public:
  // The version is the number of updates of the run so far. Takes the part's slice of the parameters and of
  // each slot.
  PartOwner(UpdateRule rule, std::uint32_t part, std::uint64_t version, std::span<const float> values,
            std::span<const std::span<const float>> slots);

  // Each unit's contributions come step by step; what does not fit is 65.
  void arrive(Contribution contribution);
  // What is to be told to the owners of all other parts, once. Nothing without a clipping norm.
  std::optional<NormShare> take_share() { return std::exchange(share_, std::nullopt); }
  // What another owner tells; 65 where it does not fit.
  void hear(std::uint32_t part, NormShare share);
  // Applies the next update, if one is due and nothing is missing. To be called after each of the above, and again
  // where it was true. 65 where the sum of the gradients is not finite.
  bool advance();

  const UpdateRule& rule() const { return rule_; }
  std::uint64_t version() const { return version_; }
  std::span<const float> values() const { return values_; }
  std::span<const float> slot(std::size_t i) const { return slots_[i]; }
  // Steps of the run whose gradients of all units of this rank are applied; UINT64_MAX where it has no unit.
  std::uint64_t applied(std::uint32_t rank) const;
  std::size_t waiting() const { return waiting_.size(); }
  // The longest that a NormShare's squares are.
  static std::uint64_t most_share_bytes(const std::vector<nn::ElementRange>& parts);

 private:
  struct Progress {                // of a unit, in steps of the run
    std::uint64_t arrived = 0;
    std::uint64_t applied = 0;
    std::uint64_t read = 0;        // version, of its newest contribution
  };
  struct Total {                   // of an update
    std::vector<float> gradient;
    double weight = 0;
  };
  bool clips() const { return rule_.optimizer.clip_norm > 0; }
  void check(const Contribution& contribution) const;
  void begin_next();
  Total add_up(std::vector<Contribution>& taken) const;
  void weaken(Contribution& contribution) const;
  void offer();
  std::vector<std::optional<NormShare>>& shares(std::uint64_t version) { return shares_[version % 2]; }
  std::optional<double> squares();
  void forget_past();

  const UpdateRule rule_;
  const UnitTree tree_;
  const std::uint32_t part_;
  std::vector<optim::HeldRange> held_;          // of all owners
  std::uint64_t version_;
  std::uint64_t gradients_ = 0;                 // of shards, arrived since the owner's first version
  std::uint64_t due_version_;                   // version_, and the updates that are due
  const std::uint64_t first_version_;
  std::vector<float> values_;
  std::vector<std::vector<float>> slots_;
  std::vector<Progress> progress_;
  std::vector<Contribution> waiting_;
  std::deque<std::vector<Contribution>> due_;   // of each update that is due; the first one's have been added up:
  std::optional<Total> total_;
  std::optional<NormShare> share_;              // not told yet
  // By part, of the next update and the one after: who has heard all can be one ahead.
  std::array<std::vector<std::optional<NormShare>>, 2> shares_;
  std::deque<std::vector<float>> past_;         // values of the versions before this one, the newest last
};

}  // namespace dl::train
