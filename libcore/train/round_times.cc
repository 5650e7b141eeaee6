// SPDX-License-Identifier: MIT
#include "train/round_times.h"

#include <algorithm>
#include <cmath>

namespace dl::train {

void RoundTimes::add(std::uint64_t steps, double seconds, double busy, double blocked,
                     std::span<const double> busy_before, double fixed) {
  if (open_) {
    double waited = open_->blocked;
    const bool known = busy_before.size() > rank_ &&
                       std::all_of(busy_before.begin(), busy_before.end(), [](double s) { return std::isfinite(s); });
    if (known) {
      const double longest = *std::max_element(busy_before.begin(), busy_before.end());
      waited = std::clamp(longest - open_->busy, 0.0, open_->blocked);
      std::vector<double> of_step(busy_before.begin(), busy_before.end());
      for (double& s : of_step) s /= open_->steps;
      steps_.add(of_step, open_->seconds / open_->steps);
    }
    waiting_ += waited;
    communicating_ += open_->blocked - waited;
    steps_done_ += open_->steps;
  }
  busy_ += busy;
  fixed_ += fixed;
  open_ = {static_cast<double>(steps), seconds, busy, blocked};
}

std::optional<coord::Pace> RoundTimes::news(std::uint32_t generation, std::uint64_t step) {
  const auto estimate = steps_.news();
  if (!estimate) return std::nullopt;
  coord::Pace pace;
  pace.generation = generation;
  pace.step = step;
  pace.step_seconds = estimate->step.seconds;
  pace.sum_seconds = communicating_ / std::max(1.0, steps_done_);
  if (busy_ > 0) pace.fixed_share = fixed_ / busy_;
  for (const auto& [seconds, error] : estimate->busy) pace.ranks.push_back({seconds, error});
  return pace;
}

}  // namespace dl::train
