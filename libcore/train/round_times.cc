// SPDX-License-Identifier: MIT
#include "train/round_times.h"

#include <algorithm>
#include <cmath>

namespace dl::train {

void RoundTimes::add(double seconds, double busy, double blocked, std::span<const double> busy_before) {
  const bool known = busy_before.size() > rank_ && rounds_ > 0 &&
                     std::all_of(busy_before.begin(), busy_before.end(), [](double s) { return std::isfinite(s); });
  double waited = open_.blocked;
  if (known) {
    const double longest = *std::max_element(busy_before.begin(), busy_before.end());
    waited = std::clamp(longest - open_.busy, 0.0, open_.blocked);
    steps_.add(busy_before, open_.seconds);
  }
  waiting_ += waited;
  communicating_ += open_.blocked - waited;
  busy_ += busy;
  rounds_ += 1;
  open_ = {seconds, busy, blocked};
}

std::optional<coord::Pace> RoundTimes::news(std::uint32_t generation, std::uint64_t step) {
  const auto estimate = steps_.news();
  if (!estimate) return std::nullopt;
  coord::Pace pace;
  pace.generation = generation;
  pace.step = step;
  pace.step_seconds = estimate->step.seconds;
  pace.sum_seconds = communicating_ / std::max(1.0, rounds_ - 1);
  for (const auto& [seconds, error] : estimate->busy) pace.ranks.push_back({seconds, error});
  return pace;
}

}  // namespace dl::train
