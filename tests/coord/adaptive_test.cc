// SPDX-License-Identifier: MIT
// Adaptive assignment in a simulated group: machines whose speed changes, is rationed or shared, by seed.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/rng.h"
#include "coord/speeds.h"
#include "coord/step_times.h"

using namespace dl;
using namespace dl::coord;
using Owner = std::vector<std::uint32_t>;

namespace {

// When work that takes `seconds` of a whole processor, begun at `now`, is done.
using Machine = std::function<double(double now, double seconds)>;

Machine steady(double speed) {
  return [=](double now, double seconds) { return now + seconds / speed; };
}

// Another speed from a given time on.
Machine changing(double before, double from, double after) {
  return [=](double now, double seconds) { return now + seconds / (now < from ? before : after); };
}

// A control group's quota: so much processor time in every period, then nothing until the next.
Machine rationed(double share, double period) {
  double counted = -1, used = 0;
  return [=](double now, double seconds) mutable {
    while (seconds > 1e-12) {
      const double begun = std::floor(now / period + 1e-9) * period;
      if (begun > counted) {
        counted = begun;
        used = 0;
      }
      const double slice = std::min({seconds, share * period - used, begun + period - now});
      used += slice;
      seconds -= slice;
      now += slice;
      if (seconds > 1e-12 && used >= share * period - 1e-12) now = begun + period;
    }
    return now;
  };
}

// Stopped for a part of every period, whatever it does (SIGSTOP and SIGCONT).
Machine halting(double running, double period, double until) {
  return [=](double now, double seconds) {
    while (seconds > 1e-12) {
      if (now >= until) return now + seconds;
      const double begun = std::floor(now / period + 1e-9) * period;
      const double slice = std::min(seconds, std::max(0.0, begun + running * period - now));
      seconds -= slice;
      now += slice;
      if (seconds > 1e-12) now = begun + period;
    }
    return now;
  };
}

class Group {
 public:
  Group(std::uint64_t seed, std::uint32_t shards, std::vector<Machine> machines, double work)
      : samples_(shards, 1000), machines_(std::move(machines)), work_(work), rng_(seed, Purpose::test),
        speeds_(machines_.size()), times_(ranks()) {
    const std::vector<double> alike(machines_.size(), 1.0);
    owner = assign(Assignment::adaptive, {samples_}, alike);
  }

  std::uint32_t ranks() const { return static_cast<std::uint32_t>(machines_.size()); }

  void run(std::uint64_t count) {
    for (const std::uint64_t end = steps + count; steps < end;) step();
  }

  // Seconds of computing in a step with this map, when every rank has the given speed.
  double pace(const Owner& of, const std::vector<double>& speeds) const {
    return pace_of(of, samples_, speeds, fixed()) * work_ / 1000 / static_cast<double>(samples_.size());
  }
  double best_pace(const std::vector<double>& speeds) const {
    return pace(reassign({samples_, {}, fixed()}, speeds, owner, 0), speeds);
  }

  Owner owner;
  double now = 0, noise = 0.03, regroup = 0.01;
  double update = 0;  // seconds that every rank computes besides, at speed 1
  std::uint64_t steps = 0, last_step = 1'000'000;
  std::vector<std::uint64_t> moves;  // the steps after which the map changed
  std::function<double(std::uint64_t step, std::uint32_t rank)> hiccup;  // seconds on top

 private:
  void step() {
    std::vector<double> busy;
    double end = now;
    for (std::uint32_t r = 0; r < ranks(); ++r) {
      const auto held = std::count(owner.begin(), owner.end(), r);
      const double seconds = update + work_ * static_cast<double>(held) / static_cast<double>(owner.size());
      double done = machines_[r](now, seconds * (1 + noise * (2 * uniform() - 1)));
      if (hiccup) done += hiccup(steps, r);
      busy.push_back(done - now);
      end = std::max(end, done);
    }
    constexpr double kSum = 0.0002;
    times_.add(busy, end + kSum - now);
    now = end + kSum;
    ++steps;
    if (pausing_) {
      owner = proposed_;
      moves.push_back(steps);
      now += regroup;
      budget_.moved(ns());
      budget_.cost(regroup);
      times_ = StepTimes(ranks());
      for (Speed& speed : speeds_) speed.begin_period();
      pausing_ = false;
      return;
    }
    const auto estimate = times_.news();
    if (!estimate) return;
    Timing timing{{}, estimate->step.seconds, kSum};
    for (std::uint32_t r = 0; r < ranks(); ++r) {
      const auto [seconds, error] = estimate->busy[r];
      timing.busy.push_back({seconds, error});
      speeds_[r].measure(1000.0 * static_cast<double>(std::count(owner.begin(), owner.end(), r)), fixed(), seconds,
                         estimate->step.seconds);
    }
    const auto move = better_map({samples_, {}, fixed()}, believed(), timing, owner);
    pausing_ = move && budget_.allows(ns(), *move, last_step - std::min(last_step, steps));
    if (pausing_) proposed_ = move->owner;
  }

  std::vector<double> believed() const {
    std::vector<double> out;
    for (const Speed& speed : speeds_) out.push_back(speed.believed().value_or(1));
    return out;
  }
  double fixed() const { return update / work_ * 1000 * static_cast<double>(samples_.size()); }
  std::int64_t ns() const { return static_cast<std::int64_t>(now * 1e9); }
  double uniform() { return static_cast<double>(rng_.below(1 << 20)) / (1 << 20); }

  std::vector<std::uint64_t> samples_;
  std::vector<Machine> machines_;
  double work_;  // seconds of a step on one node of speed 1
  Rng rng_;
  std::vector<Speed> speeds_;
  StepTimes times_;
  MoveBudget budget_;
  bool pausing_ = false;
  Owner proposed_;
};

}  // namespace

TEST_CASE("adaptive: settles within 10 steps of a change of speed, near the best map") {
  Rng rng(1, Purpose::test);
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    CAPTURE(seed);
    const auto ranks = 2 + rng.below(3);
    const std::uint32_t shards = seed % 2 == 0 ? 8 : 32;
    const double work = 0.05 * static_cast<double>(1 + rng.below(10)), change = 40 * work;
    std::vector<Machine> machines;
    std::vector<double> before, after;
    for (std::uint64_t r = 0; r < ranks; ++r) {
      before.push_back(1 + 0.25 * static_cast<double>(rng.below(13)));
      after.push_back(rng.below(2) == 0 ? before.back() : 1 + 0.25 * static_cast<double>(rng.below(13)));
      machines.push_back(changing(before.back(), change, after.back()));
    }
    Group group(seed, shards, std::move(machines), work);
    group.run(12);
    CHECK(group.pace(group.owner, before) <= 1.1 * group.best_pace(before));
    while (group.now < change) group.run(1);
    group.run(10);
    CHECK(group.pace(group.owner, after) <= 1.1 * group.best_pace(after));
    group.run(200);
    CHECK(group.pace(group.owner, after) <= 1.06 * group.best_pace(after));
    CHECK(group.moves.size() <= 4);
  }
}

TEST_CASE("adaptive: a rationed processor loses its shards once, and does not get them back for looking fast") {
  for (const double period : {0.01, 0.1}) {
    for (const double work : {0.002, 0.01, 0.05, 0.3}) {
      for (const std::uint32_t shards : {8U, 32U}) {
        CAPTURE(period);
        CAPTURE(work);
        CAPTURE(shards);
        Group group(7, shards, {steady(1), rationed(0.25, period)}, work);
        const auto steps = static_cast<std::uint64_t>(2.0 / work) + 60;
        group.run(steps);
        const double begin = group.now;
        const std::size_t moves = group.moves.size();
        group.run(steps);
        const double best = group.best_pace({1, 0.25});
        CHECK(static_cast<double>(steps) * (best + 0.0002) >= 0.9 * (group.now - begin));
        CHECK(moves <= 3);
        CHECK(group.moves.size() <= moves + 1);
      }
    }
  }
}

TEST_CASE("adaptive: what every rank does besides is counted, or a slow rank would have too much") {
  for (const std::uint64_t seed : {7U, 8U, 9U}) {
    CAPTURE(seed);
    Group group(seed, 32, {steady(1), rationed(0.25, 0.1)}, 0.015);
    group.update = 0.0015;
    group.run(300);
    const double begin = group.now;
    group.run(300);
    CHECK(300 * (group.best_pace({1, 0.25}) + 0.0002) >= 0.9 * (group.now - begin));
    CHECK(std::count(group.owner.begin(), group.owner.end(), 1U) <= 5);
  }
}

TEST_CASE("adaptive: a node that is stopped again and again, and then no more, loses its shards and gets them back") {
  for (const double work : {0.05, 0.2}) {
    CAPTURE(work);
    const double until = 100 * work;
    Group group(3, 32, {steady(1), halting(0.25, 0.02, until)}, work);
    group.run(15);
    CHECK(std::count(group.owner.begin(), group.owner.end(), 1U) <= 8);
    while (group.now < until) group.run(1);
    const std::uint64_t changed = group.steps;
    group.run(100);
    CHECK(std::count(group.owner.begin(), group.owner.end(), 1U) >= 15);
    CHECK(group.moves.back() <= changed + 12);
  }
}

TEST_CASE("adaptive: noise moves nothing, and neither does one hiccup") {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    CAPTURE(seed);
    Group group(seed, seed % 2 == 0 ? 8 : 32, {steady(1), steady(1), steady(1.02)}, 0.005);
    group.noise = 0.1;
    group.owner = assign(Assignment::balanced, {std::vector<std::uint64_t>(group.owner.size(), 1000)},
                         std::vector<double>{1, 1, 1});
    group.hiccup = [&](std::uint64_t step, std::uint32_t rank) {
      return step == 30 + seed && rank == seed % 3 ? 0.5 : 0.0;
    };
    group.run(1000);
    CHECK(group.moves.empty());
  }
}

TEST_CASE("adaptive: where speeds change to and fro, moves take no more than a twentieth of the time") {
  for (const double period : {0.05, 0.2, 1.0, 5.0}) {
    CAPTURE(period);
    const Machine fickle = [=](double now, double seconds) {
      return now + seconds / (std::fmod(now, 2 * period) < period ? 1.0 : 0.25);
    };
    Group group(5, 8, {steady(1), fickle}, 0.01);
    group.regroup = 0.03;
    group.run(5000);
    CHECK(static_cast<double>(group.moves.size()) * group.regroup <= 0.05 * group.now + 4 * group.regroup);
  }
}

TEST_CASE("adaptive: nothing is moved that gains less than it costs in the steps that are left") {
  Group group(5, 8, {steady(1), steady(0.25)}, 0.01);
  group.regroup = 0.03;
  group.last_step = 6;
  group.run(6);
  CHECK(group.moves.empty());
  group.last_step = 100;
  group.run(10);
  CHECK(group.moves.size() == 1);
}

TEST_CASE("step times: there is no estimate before four warm steps, and then their mean") {
  StepTimes times(2);
  for (int i = 0; i < 4; ++i) {
    CHECK_FALSE(times.estimate());
    times.add(std::vector<double>{i == 0 ? 9.0 : 0.1, 0.2}, i == 0 ? 9.0 : 0.25);
  }
  times.add(std::vector<double>{0.3, 0.2}, 0.35);
  const auto estimate = times.estimate();
  REQUIRE(estimate);
  CHECK(estimate->busy[0].seconds == doctest::Approx(0.15));
  CHECK(estimate->busy[0].error == doctest::Approx(0.05));
  CHECK(estimate->busy[1].seconds == doctest::Approx(0.2));
  CHECK(estimate->step.seconds == doctest::Approx(0.275));
}

TEST_CASE("step times: what is no time is left out") {
  StepTimes times(1);
  for (const double odd : {double{NAN}, -1.0, HUGE_VAL}) {
    times.add(std::vector<double>{odd}, 1);
    times.add(std::vector<double>{1.0}, odd);
  }
  for (int i = 0; i < 5; ++i) times.add(std::vector<double>{0.5}, 1);
  CHECK(times.estimate()->busy[0].seconds == 0.5);
}

TEST_CASE("step times: short steps are put together") {
  StepTimes times(1);
  for (int i = 0; i < 41; ++i) times.add(std::vector<double>{0.0001}, 0.0002501);
  CHECK(times.news());
  times.add(std::vector<double>{0.0001}, 0.0002501);
  CHECK_FALSE(times.news());  // nothing was measured since
  CHECK(times.estimate()->busy[0].seconds == doctest::Approx(0.0001));
}

TEST_CASE("speed: work besides the samples counts as work") {
  Speed speed;
  speed.measure(1000, 500, 0.03, 0.03);
  CHECK(*speed.believed() == doctest::Approx(50000));
}

TEST_CASE("speed: between what was delivered and what it looks like, the older belief stands") {
  Speed speed;
  CHECK_FALSE(speed.believed());
  speed.measure(4000, 0, 0.02, 0.02);  // all wait for it
  CHECK(*speed.believed() == doctest::Approx(200000));
  speed.begin_period();
  speed.measure(1000, 0, 0.00125, 0.00875);  // now it looks four times as fast
  CHECK(*speed.believed() == doctest::Approx(200000));
  speed.measure(1000, 0, 0.0025, 0.00875);  // the same load takes twice the time: the machine has changed
  CHECK(*speed.believed() == doctest::Approx(114285.7));
  speed.measure(1000, 0, 0.0003125, 0.00875);
  CHECK(*speed.believed() == doctest::Approx(800000));
  speed.measure(0, 0, 0.1, 0.1);
  speed.measure(1000, 0, NAN, 0.1);
  CHECK(*speed.believed() == doctest::Approx(800000));
}
