// SPDX-License-Identifier: MIT
#include "coord/step_times.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace dl::coord {

namespace {

constexpr double kShortest = 1e-3;       // seconds of an observation
constexpr double kPeriod = 0.1;          // seconds; of a ration, where nobody has said otherwise
constexpr std::size_t kMostKept = 256;   // so at least a quarter of a second, longer than rations last
constexpr double kAccident = 3;          // times the mean of the others
constexpr double kChange = 1.15;         // times what is usual
constexpr double kNews = 0.02;
constexpr std::uint64_t kTellAgain = 8;  // observations
constexpr double kTail = 0.1;            // of the observations may lie beyond a change

}  // namespace

void StepTimes::add(std::span<const double> busy, double step) {
  const auto measured = [](double seconds) { return std::isfinite(seconds) && seconds >= 0; };
  if (!measured(step) || !std::all_of(busy.begin(), busy.end(), measured)) return;
  if (std::exchange(cold_, false)) return;
  for (std::size_t r = 0; r < busy.size(); ++r) sum_[r] += busy[r];
  sum_.back() += step;
  open_.steps += 1;
  if (sum_.back() < kShortest) return;
  open_.seconds = sum_;
  for (double& seconds : open_.seconds) seconds /= open_.steps;
  window_.push_back(std::exchange(open_, {}));
  std::fill(sum_.begin(), sum_.end(), 0);
  ++observations_;
  if (window_.size() > kMostKept) window_.pop_front();
  look_for_a_change();
}

// Whether the newest observations all lie beyond nearly all that came before them, on one side.
bool StepTimes::beyond(std::size_t rank, std::size_t newest) const {
  const std::size_t before = window_.size() - newest;
  double low = window_[before].seconds[rank], high = low, sum = 0;
  for (std::size_t i = before; i < window_.size(); ++i) {
    low = std::min(low, window_[i].seconds[rank]);
    high = std::max(high, window_[i].seconds[rank]);
  }
  for (std::size_t i = 0; i < before; ++i) sum += window_[i].seconds[rank];
  const double usual = sum / static_cast<double>(before);
  if (low <= usual * kChange && high * kChange >= usual) return false;  // nearly always
  std::size_t above = 0, below = 0;
  for (std::size_t i = 0; i < before; ++i) {
    above += window_[i].seconds[rank] * kChange > low ? 1 : 0;
    below += window_[i].seconds[rank] < high * kChange ? 1 : 0;
  }
  return static_cast<double>(std::min(above, below)) <= kTail * static_cast<double>(before);
}

void StepTimes::look_for_a_change() {
  doubtful_ = false;
  for (std::size_t rank = 0; rank + 1 < sum_.size(); ++rank) {
    if (window_.size() <= kFewest || !beyond(rank, 1)) continue;
    doubtful_ = true;
    if (window_.size() < 2 * kFewest || !beyond(rank, kFewest)) continue;
    window_.erase(window_.begin(), window_.end() - kFewest);
    doubtful_ = false;
    return;
  }
}

StepTimes::Time StepTimes::mean(std::size_t column) const {
  double sum = 0, squares = 0, highest = 0, second = 0;
  for (const Observation& o : window_) {
    const double seconds = o.seconds[column];
    sum += seconds;
    squares += seconds * seconds;
    second = std::max(second, std::min(highest, seconds));
    highest = std::max(highest, seconds);
  }
  auto count = static_cast<double>(window_.size());
  const double others = (sum - highest) / (count - 1);
  if (highest > kAccident * others && second <= kAccident * others) {
    sum -= highest;
    squares -= highest * highest;
    count -= 1;
  }
  const double mean = sum / count;
  const double variance = std::max(0.0, squares / count - mean * mean);
  return {mean, error_over_periods(column).value_or(std::sqrt(variance / (count - 1)))};
}

// None where there are too few periods to tell.
std::optional<double> StepTimes::error_over_periods(std::size_t column) const {
  double steps = 0, seconds = 0, passed = 0;  // of the period that is open
  double count = 0, sum = 0, squares = 0;     // of those that are over
  for (const Observation& o : window_) {
    steps += o.steps;
    seconds += o.steps * o.seconds[column];
    passed += o.steps * o.seconds.back();
    if (passed < kPeriod) continue;
    const double mean = seconds / steps;
    count += 1;
    sum += mean;
    squares += mean * mean;
    steps = seconds = passed = 0;
  }
  if (count < kFewest) return std::nullopt;
  const double variance = std::max(0.0, squares / count - sum / count * (sum / count));
  return std::sqrt(variance / (count - 1));
}

std::optional<StepTimes::Estimate> StepTimes::estimate() const {
  if (window_.size() < kFewest || doubtful_) return std::nullopt;
  Estimate out;
  for (std::size_t rank = 0; rank + 1 < sum_.size(); ++rank) out.busy.push_back(mean(rank));
  out.step = mean(sum_.size() - 1);
  return out;
}

std::optional<StepTimes::Estimate> StepTimes::news() {
  if (observations_ == told_at_) return std::nullopt;
  std::optional<Estimate> now = estimate();
  if (!now) return std::nullopt;
  const auto same = [](const Time& a, const Time& b) {
    return std::abs(a.seconds - b.seconds) <= kNews * std::max(a.seconds, b.seconds);
  };
  const bool old = told_ && same(now->step, told_->step) &&
                   std::equal(now->busy.begin(), now->busy.end(), told_->busy.begin(), same);
  if (old && observations_ < told_at_ + kTellAgain) return std::nullopt;
  told_at_ = observations_;
  told_ = now;
  return now;
}

}  // namespace dl::coord
