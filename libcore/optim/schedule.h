// SPDX-License-Identifier: MIT
// The learning rate as a function of the step.
#pragma once

#include <cstdint>
#include <string_view>

namespace dl::optim {

enum class Schedule { constant, step, cosine };

struct ScheduleSpec {
  Schedule kind = Schedule::constant;
  double lr = 0.1;
  std::uint64_t warmup = 0;      // steps of linear rise from lr/(warmup+1) first
  std::uint64_t total = 0;       // steps of the run; cosine ends there
  std::uint64_t step_every = 0;  // step: multiply by `factor` every so many steps
  double factor = 0.1;
  double floor = 0.0;            // cosine: the rate at the end
};

Schedule parse_schedule(std::string_view name);  // 64 where there is none of that name
std::string_view name_of(Schedule schedule);

// The rate of the update with this number (from 0). Plain double arithmetic with a cosine of our
// own (Taylor series, error below 1e-15), so the same on every CPU and C library.
float learning_rate(const ScheduleSpec& spec, std::uint64_t step);

}  // namespace dl::optim
