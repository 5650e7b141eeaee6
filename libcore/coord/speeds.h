// SPDX-License-Identifier: MIT
// What is believed of the nodes' speeds, and whether moving shards would pay. Pure.
//
// A measurement says that a node did the work of `load` samples in `busy` seconds of a step of `step`
// seconds. What a node does whatever it has (the update) is counted as samples too, or a slow node would be
// taken to be done sooner than it is. Its speed then lies between load / step, which it has delivered, and
// load / busy, at which it would go on if nothing got into its way. For the node that the others wait for, both are the same.
//
// Between the two an older belief stands, because speed depends on the load: a node whose processor is
// rationed to a quarter runs at full speed while it is asked for less than that. When shards were moved
// away from it and it now looks fast, believing that would move them back, and so for ever. Under a
// larger load than before, what it looks like is believed. And when the time of a node changes while
// its load is the same, it is the machine that has changed, and the belief changes in the same ratio.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "coord/assignment.h"

namespace dl::coord {

// A node's speed, in samples per second of computing.
class Speed {
 public:
  // The node's first measurement under another load begins a new period.
  void begin_period() { anchor_.reset(); }
  // `samples` that it has, and `fixed` samples' work besides.
  void measure(double samples, double fixed, double busy, double step);

  std::optional<double> believed() const { return believed_; }

 private:
  struct Anchor {
    double busy = 0;
    double speed = 0;
  };
  std::optional<double> believed_;
  double samples_ = 0;  // of this period
  std::optional<Anchor> anchor_;  // how this period began
  bool first_period_ = true;
};

// A group's measurement, by rank (StepTimes).
struct Timing {
  struct Time {
    double seconds = 0;
    double error = 0;
  };
  std::vector<Time> busy;
  double step_seconds = 0;
  double sum_seconds = 0;  // of the step: summing up after everyone has computed
};

// Another map, and what a step is believed to gain by it.
struct Move {
  std::vector<std::uint32_t> owner;
  double step_seconds = 0;  // with the present map
  double gain_seconds = 0;  // of each step
};
// A map that gains more than 3 % of a step, also if the rank that sets the pace is faster, and
// the others are slower, than measured by twice the standard error; or none. `tasks` counts the samples of a step or of an epoch, `speeds`
// the same per second.
std::optional<Move> better_map(const Tasks& tasks, std::span<const double> speeds, const Timing& timing,
                               std::span<const std::uint32_t> owner);

// Moves cost time; this bounds how much. A move is allowed when it gains more than it costs in the steps
// that are left, and while moves take at most a twentieth of the time, a few at once included.
class MoveBudget {
 public:
  bool allows(std::int64_t now_ns, const Move& move, std::uint64_t steps_left) const;
  void moved(std::int64_t now_ns);
  void cost(double seconds);  // of the newest move, when the group trains again

 private:
  double tokens(std::int64_t now_ns) const;
  double cost_seconds_ = 0.02;  // as long as none was measured
  double tokens_ = 3;           // moves that may be made
  std::int64_t counted_ns_ = 0;
};

}  // namespace dl::coord
