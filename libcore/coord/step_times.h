// SPDX-License-Identifier: MIT
// How long the steps of one generation take, rank by rank: smoothed, outliers out. Pure.
//
// A rank's time is what it computes, never what it waits for others: a node that waits is not slow.
// Wall time is what counts, also where a processor is shared or rationed: such a node is at full speed
// most of the time and then stands still, and only the mean over both says what it can do. So:
//
// - Observations are at least a millisecond long: shorter steps are put together. The first step of a
//   generation is cold (new shards, new buffers) and is left out.
// - The estimate is the mean over a window of the newest observations, and tells its standard error: that of the
//   means over tenths of a second, once there are some. A rationed node stands still once in each of its periods, so
//   its steps scatter widely, and its periods hardly (batch means: Law and Kelton, Simulation Modeling and Analysis).
// - One observation far above all others is an accident, and is left out; a second one is the truth.
// - When the newest observations of a rank all lie beyond what it did before, its speed has changed:
//   what came before them is forgotten. So a change is seen after kFewest steps, however long the window;
//   while there are fewer of them, it may be an accident or a change, and there is no estimate.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

namespace dl::coord {

class StepTimes {
 public:
  static constexpr std::size_t kFewest = 4;  // observations before there is an estimate

  explicit StepTimes(std::uint32_t ranks) : sum_(ranks + 1) {}

  // The next step: seconds that each rank computed, and that the whole step took here. What is not a
  // time (not finite, negative) is a step without measurement, and is left out.
  void add(std::span<const double> busy, double step);

  struct Time {
    double seconds = 0;  // of a step
    double error = 0;    // standard error of that mean
  };
  struct Estimate {
    std::vector<Time> busy;  // by rank
    Time step;
  };
  // None until there are enough observations, nor while the newest of them are in doubt.
  std::optional<Estimate> estimate() const;
  // The estimate, where it is worth telling: the first one, one that differs by more than 2 % from the
  // one told before, and every eighth.
  std::optional<Estimate> news();

 private:
  struct Observation {
    double steps = 0;
    std::vector<double> seconds;  // per step: by rank, then of the whole
  };
  void look_for_a_change();
  bool beyond(std::size_t rank, std::size_t newest) const;
  Time mean(std::size_t column) const;
  std::optional<double> error_over_periods(std::size_t column) const;

  bool cold_ = true;
  Observation open_;
  std::vector<double> sum_;  // of open_'s steps
  std::deque<Observation> window_;
  bool doubtful_ = false;  // the newest may be an accident, or the first after a change
  std::uint64_t observations_ = 0, told_at_ = 0;
  std::optional<Estimate> told_;
};

}  // namespace dl::coord
