// SPDX-License-Identifier: MIT
#include "coord/speeds.h"

#include <algorithm>
#include <cmath>

namespace dl::coord {

namespace {

constexpr double kGain = 0.03;       // of a step
constexpr double kSure = 2;          // standard errors
constexpr double kShare = 0.05;      // of the time that moves may take
constexpr double kMostTokens = 3;    // moves at once
// After a move: a rationed node that was relieved has saved up, and looks fast until it has spent that.
constexpr std::int64_t kSettleNs = 100'000'000;

double sum_of(std::span<const std::uint64_t> samples) {
  double sum = 0;
  for (const std::uint64_t n : samples) sum += static_cast<double>(n);
  return sum;
}

std::vector<double> loads_of(std::span<const std::uint64_t> samples, std::span<const std::uint32_t> owner,
                             std::uint32_t ranks) {
  std::vector<double> loads(ranks);
  for (std::size_t s = 0; s < owner.size(); ++s) loads[owner[s]] += static_cast<double>(samples[s]);
  return loads;
}

// What one more part costs: summing is taken to grow with the number of parts.
double part_seconds(const Timing& timing, std::span<const std::uint32_t> owner, std::uint32_t ranks) {
  const auto parts = static_cast<double>(count_parts(owner, ranks));
  return std::isfinite(timing.sum_seconds) && parts > 0 ? std::max(0.0, timing.sum_seconds) / parts : 0;
}

}  // namespace

void Speed::measure(double samples, double fixed, double busy, double step) {
  const double load = samples + fixed;
  if (!(samples > 0 && busy > 0 && std::isfinite(busy) && std::isfinite(step))) return;
  const double most = load / busy;
  const double least = load / std::max(step, busy);
  if (!anchor_) {
    first_period_ = !believed_;
    anchor_ = {busy, samples > samples_ ? most : std::clamp(believed_.value_or(most), least, most)};
    samples_ = samples;
  }
  believed_ = first_period_ ? most : std::clamp(anchor_->speed * anchor_->busy / busy, least, most);
}

std::optional<Move> better_map(const Tasks& tasks, std::span<const double> speeds, const Timing& timing,
                               std::span<const std::uint32_t> owner) {
  const auto ranks = static_cast<std::uint32_t>(speeds.size());
  const double least_gain = kGain * timing.step_seconds;
  if (ranks < 2 || !(timing.step_seconds > 0) || !std::isfinite(timing.step_seconds)) return std::nullopt;
  // The search is dear, so first: could any map be good enough?
  double together = 0;
  for (const double speed : speeds) together += speed;
  const double now = pace_of(owner, tasks.samples, speeds, tasks.fixed);
  if (now - (sum_of(tasks.samples) + ranks * tasks.fixed) / together <= least_gain) return std::nullopt;

  const double part = part_seconds(timing, owner, ranks);
  Move move{reassign(tasks, speeds, owner, part), timing.step_seconds, 0};
  const auto parts_gained = static_cast<double>(count_parts(owner, ranks)) -
                            static_cast<double>(count_parts(move.owner, ranks));
  // The rank that sets the pace may be faster than it looks, and the others slower.
  std::vector<double> doubted(speeds.begin(), speeds.end());
  const std::vector<double> loads = loads_of(tasks.samples, owner, ranks);
  for (std::uint32_t r = 0; r < ranks; ++r) {
    const auto& [seconds, error] = timing.busy[r];
    if (!(seconds > 0)) continue;
    const bool sets_the_pace = (loads[r] + tasks.fixed) / speeds[r] >= now;
    doubted[r] *= seconds / (sets_the_pace ? std::max(seconds - kSure * error, seconds / 4)
                                           : seconds + kSure * error);
  }
  const auto gain = [&](std::span<const double> at) {
    return pace_of(owner, tasks.samples, at, tasks.fixed) - pace_of(move.owner, tasks.samples, at, tasks.fixed);
  };
  const double surely = gain(doubted);
  move.gain_seconds = gain(speeds) + parts_gained * part;
  if (std::min(surely + parts_gained * part, move.gain_seconds) <= least_gain) return std::nullopt;
  return move;
}

double MoveBudget::tokens(std::int64_t now_ns) const {
  const double seconds = static_cast<double>(now_ns - counted_ns_) * 1e-9;
  return std::min(kMostTokens, tokens_ + seconds * kShare / cost_seconds_);
}

bool MoveBudget::allows(std::int64_t now_ns, const Move& move, std::uint64_t steps_left) const {
  const bool settled = counted_ns_ == 0 || now_ns - counted_ns_ >= kSettleNs;
  return settled && tokens(now_ns) >= 1 && move.gain_seconds * static_cast<double>(steps_left) > cost_seconds_;
}

void MoveBudget::moved(std::int64_t now_ns) {
  tokens_ = tokens(now_ns) - 1;
  counted_ns_ = now_ns;
}

void MoveBudget::cost(double seconds) {
  constexpr double kLeast = 1e-4, kMost = 600;
  if (std::isfinite(seconds)) cost_seconds_ = std::clamp(seconds, kLeast, kMost);
}

}  // namespace dl::coord
