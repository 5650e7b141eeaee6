// SPDX-License-Identifier: MIT
// Timing things in turn: the clock of a shared machine moves by more than what is to be told apart.
#pragma once

#include <algorithm>
#include <ctime>
#include <functional>
#include <vector>

namespace dl::bench {

// Time on the CPU, of this thread alone: what else runs on the machine does not count.
inline double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

struct Contender {
  std::function<void()> run;
  std::vector<double> seconds;  // of each turn, per call
  unsigned calls = 1;           // per turn
};

// Each contender once per turn, in the order given, after a turn that only warms up and finds how
// many calls fill `turn_seconds`.
inline void take_turns(std::vector<Contender>& contenders, unsigned turns, double turn_seconds) {
  const auto time = [](const Contender& contender, unsigned calls) {
    const double begin = thread_seconds();
    for (unsigned i = 0; i < calls; ++i) contender.run();
    return (thread_seconds() - begin) / calls;
  };
  for (Contender& contender : contenders) {
    contender.run();
    const double once = std::min({time(contender, 1), time(contender, 1), time(contender, 1)});
    contender.calls = static_cast<unsigned>(std::clamp(turn_seconds / once, 1.0, 1e6));
  }
  for (unsigned turn = 0; turn < turns; ++turn) {
    for (Contender& contender : contenders) {
      contender.seconds.push_back(time(contender, contender.calls));
    }
  }
}

// The median over turns of how many times faster `a` was than `b` in the same turn.
inline double speed_ratio(const Contender& a, const Contender& b) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < a.seconds.size(); ++i) ratios.push_back(b.seconds[i] / a.seconds[i]);
  return median(ratios);
}

}  // namespace dl::bench
