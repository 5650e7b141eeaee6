// SPDX-License-Identifier: MIT
// How the coordinator's stories are told, and what they begin with.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>

#include "transcript.h"

namespace dl::test {

inline void story(const coord::Plan& plan, const std::string& script) { CHECK(play(plan, script) == script); }

// So many nodes as the plan has train in generation 1.
inline std::string trains(const coord::Plan& plan) {
  std::string script;
  for (std::uint32_t n = 1; n <= plan.nodes; ++n) script += fmt::format("arrive {0}\nready {0}\npaused {0} gen 1 step -1\n", n);
  for (std::uint32_t n = 1; n <= plan.nodes; ++n) script += fmt::format("loaded {} gen 1\n", n);
  return play(plan, script);
}

// The same, told whole, of two.
inline const std::string kTwoTrain = R"(arrive 1
> welcome 1 to run
arrive 2
> welcome 2 to run
ready 2
> pause 2 gen 1
paused 2 gen 1 step -1
ready 1
> pause 1 gen 1
paused 1 gen 1 step -1
> load 1 gen 1 shards 0 1
> load 2 gen 1 shards 2 3
loaded 1 gen 1
loaded 2 gen 1
> announce {"event":"joined","rank":0,"host":"h1","pid":11,"threads":1,"kernel":"scalar","generation":1,"step":0}
> announce {"event":"joined","rank":1,"host":"h2","pid":22,"threads":1,"kernel":"scalar","generation":1,"step":0}
> announce {"event":"group","generation":1,"step":0,"nodes":2,"owner":[0,0,1,1]}
> start 1 gen 1 rank 0 step 0 members 10.0.0.1:7001 10.0.0.2:7002 owner 0011
> start 2 gen 1 rank 1 step 0 members 10.0.0.1:7001 10.0.0.2:7002 owner 0011
)";

}  // namespace dl::test
