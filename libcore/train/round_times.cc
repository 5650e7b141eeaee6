// SPDX-License-Identifier: MIT
#include "train/round_times.h"

#include <algorithm>
#include <cmath>

namespace dl::train {

namespace {

constexpr std::size_t kSums = 64;

double lower_decile(const std::deque<double>& of) {
  if (of.empty()) return 0;
  std::vector<double> sorted(of.begin(), of.end());
  const auto tenth = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 10);
  std::nth_element(sorted.begin(), tenth, sorted.end());
  return *tenth;
}

}  // namespace

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
    sums_.push_back((open_->blocked - waited) / open_->steps);
    if (sums_.size() > kSums) sums_.pop_front();
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
  pace.sum_seconds = lower_decile(sums_);
  if (busy_ > 0) pace.fixed_share = fixed_ / busy_;
  for (const auto& [seconds, error] : estimate->busy) pace.ranks.push_back({seconds, error});
  return pace;
}

}  // namespace dl::train
