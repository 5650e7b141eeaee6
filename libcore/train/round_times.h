// SPDX-License-Identifier: MIT
// Where the time of a node goes, and how fast the ranks of its group are. Pure; one for each group.
//
// A rank knows how long it computed and how long it was held up. What the others computed comes with the
// records of the next round. So each round is taken apart when the next one is done: as long as another
// rank still computed, this one waited; what is left was adding and sending.
#pragma once

#include <deque>
#include <optional>
#include <span>

#include "coord/messages.h"
#include "coord/step_times.h"

namespace dl::train {

class RoundTimes {
 public:
  RoundTimes(std::uint32_t rank, std::uint32_t ranks) : rank_(rank), steps_(ranks) {}

  // A round of so many steps that took `seconds`, computing for `busy` of them and held up for `blocked`.
  // `busy_before`: what every rank computed in the round before; empty or NaN where that is not known.
  // `fixed`: of the computing, what takes as long whatever shards the rank has.
  void add(std::uint64_t steps, double seconds, double busy, double blocked, std::span<const double> busy_before,
           double fixed = 0);

  double busy() const { return busy_; }
  double waiting() const { return waiting_ + (open_ ? open_->blocked : 0); }
  double communicating() const { return communicating_; }

  // What rank 0 tells the coordinator, where there is something new.
  std::optional<coord::Pace> news(std::uint32_t generation, std::uint64_t step);

 private:
  struct Round {
    double steps = 1, seconds = 0, busy = 0, blocked = 0;
  };
  std::uint32_t rank_;
  coord::StepTimes steps_;
  std::optional<Round> open_;  // the newest, not yet taken apart
  // What adding and sending took in a step of the newest rounds. Its lower decile is what it takes where nobody is
  // held up: ranks that are, in the middle of a sum, by the system or their ration, make most of them longer.
  std::deque<double> sums_;
  double busy_ = 0, waiting_ = 0, communicating_ = 0, fixed_ = 0;
};

}  // namespace dl::train
