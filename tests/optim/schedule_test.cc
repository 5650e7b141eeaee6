// SPDX-License-Identifier: MIT
#include "optim/schedule.h"

#include <doctest/doctest.h>

#include <cmath>

#include "base/error.h"

using namespace dl;
using namespace dl::optim;

TEST_CASE("schedule: constant is constant") {
  const ScheduleSpec spec{.lr = 0.3, .total = 10};
  for (std::uint64_t step = 0; step < 20; ++step) CHECK(learning_rate(spec, step) == 0.3F);
}

TEST_CASE("schedule: the warm-up rises in equal steps to the rate, which follows it") {
  const ScheduleSpec spec{.lr = 1.0, .warmup = 3};
  CHECK(learning_rate(spec, 0) == 0.25F);
  CHECK(learning_rate(spec, 1) == 0.5F);
  CHECK(learning_rate(spec, 2) == 0.75F);
  CHECK(learning_rate(spec, 3) == 1.0F);
}

TEST_CASE("schedule: step multiplies by the factor every so many steps") {
  const ScheduleSpec spec{.kind = Schedule::step, .lr = 1.0, .step_every = 10, .factor = 0.5};
  CHECK(learning_rate(spec, 9) == 1.0F);
  CHECK(learning_rate(spec, 10) == 0.5F);
  CHECK(learning_rate(spec, 19) == 0.5F);
  CHECK(learning_rate(spec, 35) == 0.125F);
  CHECK(learning_rate(spec, 1'000'000'000'000) == 0.0F);
  CHECK(learning_rate({.kind = Schedule::step, .lr = 1.0}, 100) == 1.0F);
}

TEST_CASE("schedule: cosine goes from the rate through the middle to the floor") {
  const ScheduleSpec spec{
      .kind = Schedule::cosine, .lr = 1.0, .warmup = 10, .total = 110, .floor = 0.5};
  CHECK(learning_rate(spec, 10) == 1.0F);
  CHECK(learning_rate(spec, 60) == 0.75F);
  CHECK(learning_rate(spec, 110) == 0.5F);
  CHECK(learning_rate(spec, 1000) == 0.5F);
  for (std::uint64_t step = 10; step < 110; ++step) {
    CHECK(learning_rate(spec, step + 1) < learning_rate(spec, step));
  }
}

TEST_CASE("schedule: the cosine is that of libm to 1e-7 of a float, at every step") {
  const ScheduleSpec spec{.kind = Schedule::cosine, .lr = 1.0, .total = 10007};
  for (std::uint64_t step = 0; step < spec.total; ++step) {
    const long double x = 3.14159265358979323846264338327950288L * step / 10007;
    const auto wanted = static_cast<double>(0.5L * (1.0L + std::cos(x)));
    CHECK(std::fabs(learning_rate(spec, step) - wanted) <= 6e-8 * wanted + 1e-15);
  }
}

TEST_CASE("schedule: a warm-up as long as the run leaves no cosine") {
  const ScheduleSpec spec{.kind = Schedule::cosine, .lr = 1.0, .warmup = 5, .total = 5};
  CHECK(learning_rate(spec, 4) == doctest::Approx(5.0 / 6));
  CHECK(learning_rate(spec, 5) == 0.0F);
}

TEST_CASE("schedule: names") {
  for (const Schedule kind : {Schedule::constant, Schedule::step, Schedule::cosine}) {
    CHECK(parse_schedule(name_of(kind)) == kind);
  }
  CHECK_THROWS_AS(parse_schedule("linear"), Error);
}
