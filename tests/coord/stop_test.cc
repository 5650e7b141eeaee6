// SPDX-License-Identifier: MIT
// A stop has a time limit, whatever a node does; and what counts as hanging.
#include "stories.h"

using namespace dl;
using test::plan;
using test::story;
using test::trains;

namespace {

coord::Plan patient() {
  coord::Plan p = plan();
  p.dead_after_ns = 10'000'000'000'000;  // whose heart beats is not the question here
  return p;
}

}  // namespace

TEST_CASE("coordinator: a stop does not wait for a node that hangs") {
  story(patient(), trains(patient()) + R"~(at 10
progress 1 step 4
> live step 4
stop 143
> signal 1 pause
at 11.7
at 11.9
> pause 1 gen 2
> pause 2 gen 2
paused 1 gen 2 step 4
at 13
beat 2
at 13.2
> close 2
> announce {"event":"lost","rank":1,"host":"h2","pid":22,"reason":"the run is to stop, and it does not answer: its work has stood still for 1.3 s","generation":2,"step":0,"shards":[[2,3]]}
> send-state 1
state 1 asked step 4
> keep
> write asked step 4
written asked step 4
> announce {"event":"checkpoint","step":4,"checkpoint":"step-4"}
> goodbye 1 0
> close 1
> finish 143 asked to stop
)~");
}

TEST_CASE("coordinator: a stop waits longer for the only one that has the newest step, and for a state that comes") {
  story(patient(), trains(patient()) + R"~(at 10
progress 1 step 4 seconds 8
> live step 4
progress 1 step 5 seconds 10
> live step 5
stop 143
> signal 1 pause
at 11.9
> pause 1 gen 2
> pause 2 gen 2
paused 2 gen 2 step 4
at 15.8
paused 1 gen 2 step 5
> send-state 1
at 18
coming 1
at 21
coming 1
at 24
state 1 asked step 5
> keep
> write asked step 5
written asked step 5
> announce {"event":"checkpoint","step":5,"checkpoint":"step-5"}
> goodbye 1 0
> close 1
> goodbye 2 0
> close 2
> finish 143 asked to stop
)~");
  story(patient(), trains(patient()) + R"~(at 10
progress 1 step 4 seconds 8
> live step 4
progress 1 step 5 seconds 10
> live step 5
stop 143
> signal 1 pause
at 11.9
> pause 1 gen 2
> pause 2 gen 2
paused 2 gen 2 step 4
at 15.8
at 16
> close 1
> announce {"event":"lost","rank":0,"host":"h1","pid":11,"reason":"the run is to stop, and it does not answer: its work has stood still for 4.1 s","generation":2,"step":5,"shards":[[0,1]]}
> send-state 2
)~");
}

TEST_CASE("coordinator: a stop leaves work that moves in peace where a broken round costs all since the checkpoint") {
  coord::Plan apart = patient();
  apart.held_apart = true;
  story(apart, trains(apart) + R"~(at 10
stop 143
> signal 1 pause
at 11.5
beat 2 5
at 11.9
at 12.5
beat 2 6
at 13.6
at 13.8
> pause 1 gen 2
> pause 2 gen 2
)~");
}

TEST_CASE("coordinator: what takes a minute in every step does not hang, and a slow step is forgiven once") {
  story(patient(), trains(patient()) + R"~(at 50
progress 1 step 1 seconds 30
> live step 1
progress 1 step 2 seconds 60
> live step 2
progress 1 step 3 seconds 90
> live step 3
# ten times its median step: 300 s
at 349
at 351
> pause 1 gen 2
> pause 2 gen 2
paused 1 gen 2 step 3
paused 2 gen 2 step 3
> load 1 gen 2 shards 0 1
> load 2 gen 2 shards 2 3
loaded 1 gen 2
loaded 2 gen 2
> announce {"event":"group","generation":2,"step":3,"nodes":2,"owner":[0,0,1,1]}
> start 1 gen 2 rank 0 step 3 members 10.0.0.1:7001 10.0.0.2:7002 owner 0011
> start 2 gen 2 rank 1 step 3 members 10.0.0.1:7001 10.0.0.2:7002 owner 0011
# twice that, until everybody has applied a step
at 950
at 952
> pause 1 gen 3
> pause 2 gen 3
paused 1 gen 3 step 3
paused 2 gen 3 step 3
> load 1 gen 3 shards 0 1
> load 2 gen 3 shards 2 3
loaded 1 gen 3
loaded 2 gen 3
> announce {"event":"group","generation":3,"step":3,"nodes":2,"owner":[0,0,1,1]}
> start 1 gen 3 rank 0 step 3 members 10.0.0.1:7001 10.0.0.2:7002 owner 0011
> start 2 gen 3 rank 1 step 3 members 10.0.0.1:7001 10.0.0.2:7002 owner 0011
progress 1 step 5 seconds 150
> live step 5
at 1251
at 1253
> pause 1 gen 4
> pause 2 gen 4
)~");
}
