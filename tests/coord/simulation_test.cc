// SPDX-License-Identifier: MIT
// Thousands of runs in which everything goes wrong, and the same with a fault of the program's own planted.
// DL_SIMULATION=SEED repeats one run and tells what happens in it; DL_SIMULATIONS=N makes so many.
#include <doctest/doctest.h>

#include <cstdlib>

#include "simulation.h"

using namespace dl;
using test::Planted;
using test::Scenario;
using test::Simulation;

namespace {

// Of so many runs, the first that breaks a promise; empty: none.
std::string first_breach(std::uint64_t from, std::uint64_t runs, Planted planted) {
  for (std::uint64_t seed = from; seed < from + runs; ++seed) {
    try {
      Simulation({seed, planted, false}).run();
    } catch (const test::Breach& breach) {
      return breach.what();
    }
  }
  return "";
}

}  // namespace

TEST_CASE("simulation: nodes, coordinator, network and disk fail at random, and the promises hold") {
  if (const char* seed = std::getenv("DL_SIMULATION")) {
    CHECK_NOTHROW(Simulation({std::stoull(seed), Planted::nothing, true}).run());
    return;
  }
  const char* many = std::getenv("DL_SIMULATIONS");
  const std::uint64_t runs = many != nullptr ? std::stoull(many) : 2000;
  test::Tally sum;
  for (std::uint64_t seed = 1; seed <= runs; ++seed) {
    CAPTURE(seed);
    test::Tally tally;
    REQUIRE_NOTHROW(tally = Simulation({seed, Planted::nothing, false}).run());
    sum.faults += tally.faults;
    sum.starts += tally.starts;
    sum.generations += tally.generations;
    sum.checkpoints += tally.checkpoints;
    sum.steps_applied += tally.steps_applied;
    sum.doubled += tally.doubled;
    sum.stale += tally.stale;
    sum.mirrors += tally.mirrors;
    sum.fell_back += tally.fell_back;
    sum.unrecorded += tally.unrecorded;
    sum.parted += tally.parted;
    sum.unmet += tally.unmet;
    sum.events += tally.events;
  }
  MESSAGE(sum.events << " events, " << sum.faults << " faults, " << sum.starts << " starts, " << sum.generations
                     << " generations, " << sum.checkpoints << " checkpoints, " << sum.steps_applied
                     << " steps applied, " << sum.doubled << " doubled, " << sum.stale << " of another generation, "
                     << sum.mirrors << " mirrors, " << sum.fell_back << " gone back to, "
                     << sum.unrecorded << " generations that found no room, " << sum.parted << " links cut, "
                     << sum.unmet << " times a group did not meet");
  CHECK(sum.stale > static_cast<int>(runs / 20));  // what must not count did come
  CHECK(sum.doubled > static_cast<int>(runs));
  CHECK(sum.fell_back > static_cast<int>(runs / 4));
  CHECK(sum.unrecorded > static_cast<int>(runs / 20));
  CHECK(sum.unmet > static_cast<int>(runs / 10));
}

TEST_CASE("simulation: one seed is one run") {
  const auto run = [] { return Simulation({7, Planted::nothing, false}).run(); };
  const test::Tally a = run(), b = run();
  CHECK(a.events == b.events);
  CHECK(a.steps_applied == b.steps_applied);
}

TEST_CASE("simulation: a dropped generation check, a double count, a rename without fsync are found") {
  CHECK(first_breach(1, 2000, Planted::no_generation_check).find("counts") != std::string::npos);
  CHECK(first_breach(1, 300, Planted::double_count).find("counts 2 times") != std::string::npos);
  CHECK(first_breach(1, 300, Planted::rename_without_fsync).find("older than the one announced") != std::string::npos);
  CHECK(first_breach(1, 300, Planted::generation_begins_anew).find("generation") != std::string::npos);
  CHECK(first_breach(1, 2000, Planted::started_unrecorded).find("generation") != std::string::npos);
  CHECK(first_breach(1, 300, Planted::announced_before_written).find("announced") != std::string::npos);
  CHECK(first_breach(1, 300, Planted::step_kept_after_break) != "");
  CHECK(first_breach(1, 300, Planted::mirrored_too_early).find("parts that were with others") != std::string::npos);
}
