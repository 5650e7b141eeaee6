// SPDX-License-Identifier: MIT
#include "optim/schedule.h"

#include <array>
#include <utility>

#include "base/error.h"
#include "optim/power.h"

namespace dl::optim {

namespace {

constexpr std::array<std::pair<Schedule, std::string_view>, 3> kNames = {{
    {Schedule::constant, "constant"},
    {Schedule::step, "step"},
    {Schedule::cosine, "cosine"},
}};

constexpr double kPi = 3.14159265358979323846;

// cos x (first = 1, n = 0) or sin x (first = x, n = 1) as its Taylor series, for |x| <= pi/4, where
// the first term left out is below 1e-20.
double series(double first, double x, int n) {
  double term = first;
  double sum = first;
  for (int k = 0; k < 9; ++k) {
    n += 2;
    term *= -(x * x) / (n * (n - 1.0));
    sum += term;
  }
  return sum;
}

// cos(pi x) for 0 <= x <= 1; the reductions of x are exact.
double cos_pi(double x) {
  if (x > 0.5) return -cos_pi(1.0 - x);
  if (x > 0.25) return series(kPi * (0.5 - x), kPi * (0.5 - x), 1);
  return series(1.0, kPi * x, 0);
}

double cosine(const ScheduleSpec& spec, std::uint64_t step) {
  if (step >= spec.total) return spec.floor;
  const double done = static_cast<double>(step - spec.warmup) /
                      static_cast<double>(spec.total - spec.warmup);
  return spec.floor + (spec.lr - spec.floor) * 0.5 * (1.0 + cos_pi(done));
}

}  // namespace

Schedule parse_schedule(std::string_view name) {
  for (const auto& [schedule, known] : kNames) {
    if (known == name) return schedule;
  }
  fail(Exit::usage, "{} is not a schedule; constant, step and cosine are", shown(name));
}

std::string_view name_of(Schedule schedule) {
  for (const auto& [known, name] : kNames) {
    if (known == schedule) return name;
  }
  fail(Exit::bug, "no schedule has number {}", static_cast<int>(schedule));
}

float learning_rate(const ScheduleSpec& spec, std::uint64_t step) {
  double rate = spec.lr;
  if (step < spec.warmup) {
    rate = spec.lr * static_cast<double>(step + 1) / static_cast<double>(spec.warmup + 1);
  } else if (spec.kind == Schedule::cosine) {
    rate = cosine(spec, step);
  } else if (spec.kind == Schedule::step && spec.step_every > 0) {
    rate = spec.lr * power(spec.factor, step / spec.step_every);
  }
  return static_cast<float>(rate);
}

}  // namespace dl::optim
