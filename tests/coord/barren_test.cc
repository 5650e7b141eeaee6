// SPDX-License-Identifier: MIT
// Groups that get nowhere though nobody is lost, and checkpoints that are asked for meanwhile.
// Over 400 lines because each story is told whole.
#include "stories.h"

using namespace dl;
using test::plan;
using test::story;
using test::trains;

namespace {

coord::Plan patient(std::uint32_t nodes) {
  coord::Plan p = plan();
  p.nodes = nodes;
  p.dead_after_ns = p.hung_after_ns = 1'000'000'000'000;  // whose heart beats is not the question here
  return p;
}

}  // namespace

TEST_CASE("coordinator: two nodes that do not reach each other are told of, and after three groups one goes on") {
  story(patient(2), trains(patient(2)) + R"~(at 10
paused 1 gen 1 step 0 unmet 1
paused 2 gen 1 step 0 unmet 0
> announce {"event":"broken","rank":0,"host":"h1","pid":11,"reason":"did not meet","generation":1,"step":0}
> pause 1 gen 2
> pause 2 gen 2
paused 1 gen 2 step 0
paused 2 gen 2 step 0
> load 1 gen 2 shards 0 1
> load 2 gen 2 shards 2 3
loaded 1 gen 2
loaded 2 gen 2
> announce {"event":"group","generation":2,"step":0,"nodes":2,"owner":[0,0,1,1]}
> start 1 gen 2 rank 0 step 0 members 10.0.0.1:7001 10.0.0.2:7002 owner 0011
> start 2 gen 2 rank 1 step 0 members 10.0.0.1:7001 10.0.0.2:7002 owner 0011
at 20
paused 2 gen 2 step 0 unmet 0
paused 1 gen 2 step 0 unmet 1
> announce {"event":"broken","rank":0,"host":"h1","pid":11,"reason":"did not meet","generation":2,"step":0}
> pause 1 gen 3
> pause 2 gen 3
paused 1 gen 3 step 0
paused 2 gen 3 step 0
> load 1 gen 3 shards 0 1
> load 2 gen 3 shards 2 3
loaded 1 gen 3
loaded 2 gen 3
> announce {"event":"group","generation":3,"step":0,"nodes":2,"owner":[0,0,1,1]}
> start 1 gen 3 rank 0 step 0 members 10.0.0.1:7001 10.0.0.2:7002 owner 0011
> start 2 gen 3 rank 1 step 0 members 10.0.0.1:7001 10.0.0.2:7002 owner 0011
at 30
paused 1 gen 3 step 0 unmet 1
paused 2 gen 3 step 0 unmet 0
> announce {"event":"broken","rank":0,"host":"h1","pid":11,"reason":"did not meet","generation":3,"step":0}
> announce {"event":"lost","rank":1,"host":"h2","pid":22,"reason":"left out for 60 s: 3 groups in a row got nowhere, and it does not reach rank 0 (h1)","generation":3,"step":0,"shards":[[2,3]]}
> pause 1 gen 4
> pause 2 gen 4
paused 2 gen 4 step 0
paused 1 gen 4 step 0
> load 1 gen 4 shards 0 1 2 3
loaded 1 gen 4
> announce {"event":"group","generation":4,"step":0,"nodes":1,"owner":[0,0,0,0]}
> start 1 gen 4 rank 0 step 0 members 10.0.0.1:7001 owner 0000
progress 1 step 5
> live step 5
# it is tried again after its minute, at a step's border
at 89
at 91
> signal 1 pause
paused 1 gen 4 step 7
> pause 1 gen 5
> pause 2 gen 5
paused 1 gen 5 step 7
paused 2 gen 5 step 0
> send-state 1
state 1 asked step 7
> keep
> load 1 gen 5 shards 0 1
> load 2 gen 5 shards 2 3
loaded 1 gen 5
loaded 2 gen 5
> announce {"event":"joined","rank":1,"host":"h2","pid":22,"threads":1,"kernel":"scalar","generation":5,"step":7}
> announce {"event":"group","generation":5,"step":7,"nodes":2,"owner":[0,0,1,1]}
> serve 2
> start 1 gen 5 rank 0 step 7 members 10.0.0.1:7001 10.0.0.2:7002 owner 0011
> start 2 gen 5 rank 1 step 7 members 10.0.0.1:7001 10.0.0.2:7002 owner 0011
progress 2 step 9
# and had it not been for that step, for two minutes the next time
)~");
}

TEST_CASE("coordinator: of four in two halves the higher ranks are left out together; alone one is taken back") {
  story(patient(4), trains(patient(4)) + R"~(paused 1 gen 1 step 0 unmet 2 3
paused 2 gen 1 step 0 unmet 2 3
paused 3 gen 1 step 0 unmet 0 1
paused 4 gen 1 step 0 unmet 0 1
> announce {"event":"broken","rank":0,"host":"h1","pid":11,"reason":"did not meet","generation":1,"step":0}
> pause 1 gen 2
> pause 2 gen 2
> pause 3 gen 2
> pause 4 gen 2
paused 1 gen 2 step 0
paused 2 gen 2 step 0
paused 3 gen 2 step 0
paused 4 gen 2 step 0
> load 1 gen 2 shards 0
> load 2 gen 2 shards 1
> load 3 gen 2 shards 2
> load 4 gen 2 shards 3
loaded 1 gen 2
loaded 2 gen 2
loaded 3 gen 2
loaded 4 gen 2
> announce {"event":"group","generation":2,"step":0,"nodes":4,"owner":[0,1,2,3]}
> start 1 gen 2 rank 0 step 0 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 10.0.0.4:7004 owner 0123
> start 2 gen 2 rank 1 step 0 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 10.0.0.4:7004 owner 0123
> start 3 gen 2 rank 2 step 0 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 10.0.0.4:7004 owner 0123
> start 4 gen 2 rank 3 step 0 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 10.0.0.4:7004 owner 0123
paused 1 gen 2 step 0 unmet 2 3
paused 2 gen 2 step 0 unmet 2 3
paused 3 gen 2 step 0 unmet 0 1
paused 4 gen 2 step 0 unmet 0 1
> announce {"event":"broken","rank":0,"host":"h1","pid":11,"reason":"did not meet","generation":2,"step":0}
> pause 1 gen 3
> pause 2 gen 3
> pause 3 gen 3
> pause 4 gen 3
paused 1 gen 3 step 0
paused 2 gen 3 step 0
paused 3 gen 3 step 0
paused 4 gen 3 step 0
> load 1 gen 3 shards 0
> load 2 gen 3 shards 1
> load 3 gen 3 shards 2
> load 4 gen 3 shards 3
loaded 1 gen 3
loaded 2 gen 3
loaded 3 gen 3
loaded 4 gen 3
> announce {"event":"group","generation":3,"step":0,"nodes":4,"owner":[0,1,2,3]}
> start 1 gen 3 rank 0 step 0 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 10.0.0.4:7004 owner 0123
> start 2 gen 3 rank 1 step 0 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 10.0.0.4:7004 owner 0123
> start 3 gen 3 rank 2 step 0 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 10.0.0.4:7004 owner 0123
> start 4 gen 3 rank 3 step 0 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 10.0.0.4:7004 owner 0123
paused 1 gen 3 step 0 unmet 2 3
paused 2 gen 3 step 0 unmet 2 3
paused 3 gen 3 step 0 unmet 0 1
paused 4 gen 3 step 0 unmet 0 1
> announce {"event":"broken","rank":0,"host":"h1","pid":11,"reason":"did not meet","generation":3,"step":0}
> announce {"event":"lost","rank":3,"host":"h4","pid":44,"reason":"left out for 60 s: 3 groups in a row got nowhere, and it does not reach rank 0 (h1), rank 1 (h2)","generation":3,"step":0,"shards":[[3,3]]}
> announce {"event":"lost","rank":2,"host":"h3","pid":33,"reason":"left out for 60 s: 3 groups in a row got nowhere, and it does not reach rank 0 (h1), rank 1 (h2)","generation":3,"step":0,"shards":[[2,2]]}
> pause 1 gen 4
> pause 2 gen 4
> pause 3 gen 4
> pause 4 gen 4
paused 1 gen 4 step 0
paused 2 gen 4 step 0
paused 3 gen 4 step 0
paused 4 gen 4 step 0
> load 1 gen 4 shards 0 1
> load 2 gen 4 shards 2 3
loaded 1 gen 4
loaded 2 gen 4
> announce {"event":"group","generation":4,"step":0,"nodes":2,"owner":[0,0,1,1]}
> start 1 gen 4 rank 0 step 0 members 10.0.0.1:7001 10.0.0.2:7002 owner 0011
> start 2 gen 4 rank 1 step 0 members 10.0.0.1:7001 10.0.0.2:7002 owner 0011
progress 1 step 3
> live step 3
lost 1 killed
> announce {"event":"lost","rank":0,"host":"h1","pid":11,"reason":"killed","generation":4,"step":3,"shards":[[0,1]]}
> pause 2 gen 5
> pause 3 gen 5
> pause 4 gen 5
paused 2 gen 5 step 3
paused 3 gen 5 step 0
paused 4 gen 5 step 0
> load 2 gen 5 shards 0 1 2 3
loaded 2 gen 5
> announce {"event":"group","generation":5,"step":3,"nodes":1,"owner":[0,0,0,0]}
> start 2 gen 5 rank 0 step 3 members 10.0.0.2:7002 owner 0000
lost 2 killed
> announce {"event":"lost","rank":0,"host":"h2","pid":22,"reason":"killed","generation":5,"step":0,"shards":[[0,3]]}
> pause 3 gen 6
> pause 4 gen 6
paused 3 gen 6 step 0
paused 4 gen 6 step 0
at 1
> load 3 gen 6 shards 0 1
> load 4 gen 6 shards 2 3
)~");
}

TEST_CASE("coordinator: whom most others do not reach is left out; where nobody knows, the highest rank") {
  story(patient(3), trains(patient(3)) + R"~(paused 1 gen 1 step 0 unmet 1
paused 2 gen 1 step 0 unmet 0 2
paused 3 gen 1 step 0 unmet 1
> announce {"event":"broken","rank":0,"host":"h1","pid":11,"reason":"did not meet","generation":1,"step":0}
> pause 1 gen 2
> pause 2 gen 2
> pause 3 gen 2
paused 1 gen 2 step 0
paused 2 gen 2 step 0
paused 3 gen 2 step 0
> load 1 gen 2 shards 0
> load 2 gen 2 shards 1
> load 3 gen 2 shards 2 3
loaded 1 gen 2
loaded 2 gen 2
loaded 3 gen 2
> announce {"event":"group","generation":2,"step":0,"nodes":3,"owner":[0,1,2,2]}
> start 1 gen 2 rank 0 step 0 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 owner 0122
> start 2 gen 2 rank 1 step 0 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 owner 0122
> start 3 gen 2 rank 2 step 0 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 owner 0122
paused 1 gen 2 step 0 broken rank 1: connection reset by peer
paused 2 gen 2 step 0 broken rank 0: connection reset by peer
paused 3 gen 2 step 0 broken rank 1: closed by peer
> announce {"event":"broken","rank":0,"host":"h1","pid":11,"reason":"rank 1: connection reset by peer","generation":2,"step":0}
> pause 1 gen 3
> pause 2 gen 3
> pause 3 gen 3
paused 1 gen 3 step 0
paused 2 gen 3 step 0
paused 3 gen 3 step 0
> load 1 gen 3 shards 0
> load 2 gen 3 shards 1
> load 3 gen 3 shards 2 3
loaded 1 gen 3
loaded 2 gen 3
loaded 3 gen 3
> announce {"event":"group","generation":3,"step":0,"nodes":3,"owner":[0,1,2,2]}
> start 1 gen 3 rank 0 step 0 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 owner 0122
> start 2 gen 3 rank 1 step 0 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 owner 0122
> start 3 gen 3 rank 2 step 0 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 owner 0122
paused 3 gen 3 step 0 unmet 1
paused 2 gen 3 step 0 unmet 2
paused 1 gen 3 step 0 broken rank 1: closed by peer
> announce {"event":"broken","rank":1,"host":"h2","pid":22,"reason":"did not meet","generation":3,"step":0}
> announce {"event":"lost","rank":1,"host":"h2","pid":22,"reason":"left out for 60 s: 3 groups in a row got nowhere, and it does not reach rank 0 (h1), rank 2 (h3)","generation":3,"step":0,"shards":[[1,1]]}
> pause 1 gen 4
> pause 2 gen 4
> pause 3 gen 4
)~");
  story(patient(3), trains(patient(3)) + R"~(paused 1 gen 1 step 0 broken rank 1: closed by peer
paused 2 gen 1 step 0 broken rank 0: closed by peer
paused 3 gen 1 step 0
> announce {"event":"broken","rank":0,"host":"h1","pid":11,"reason":"rank 1: closed by peer","generation":1,"step":0}
> pause 1 gen 2
> pause 2 gen 2
> pause 3 gen 2
paused 1 gen 2 step 0
paused 2 gen 2 step 0
paused 3 gen 2 step 0
> load 1 gen 2 shards 0
> load 2 gen 2 shards 1
> load 3 gen 2 shards 2 3
loaded 1 gen 2
loaded 2 gen 2
loaded 3 gen 2
> announce {"event":"group","generation":2,"step":0,"nodes":3,"owner":[0,1,2,2]}
> start 1 gen 2 rank 0 step 0 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 owner 0122
> start 2 gen 2 rank 1 step 0 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 owner 0122
> start 3 gen 2 rank 2 step 0 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 owner 0122
# everybody has applied a step: the row ends
progress 1 step 2
> live step 2
paused 1 gen 2 step 2 broken rank 1: closed by peer
paused 2 gen 2 step 2 broken rank 0: closed by peer
paused 3 gen 2 step 2
> announce {"event":"broken","rank":0,"host":"h1","pid":11,"reason":"rank 1: closed by peer","generation":2,"step":2}
> pause 1 gen 3
> pause 2 gen 3
> pause 3 gen 3
paused 1 gen 3 step 2
paused 2 gen 3 step 2
paused 3 gen 3 step 2
> load 1 gen 3 shards 0
> load 2 gen 3 shards 1
> load 3 gen 3 shards 2 3
loaded 1 gen 3
loaded 2 gen 3
loaded 3 gen 3
> announce {"event":"group","generation":3,"step":2,"nodes":3,"owner":[0,1,2,2]}
> start 1 gen 3 rank 0 step 2 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 owner 0122
> start 2 gen 3 rank 1 step 2 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 owner 0122
> start 3 gen 3 rank 2 step 2 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 owner 0122
paused 1 gen 3 step 2 broken rank 1: closed by peer
paused 2 gen 3 step 2 broken rank 0: closed by peer
paused 3 gen 3 step 2
> announce {"event":"broken","rank":0,"host":"h1","pid":11,"reason":"rank 1: closed by peer","generation":3,"step":2}
> pause 1 gen 4
> pause 2 gen 4
> pause 3 gen 4
paused 1 gen 4 step 2
paused 2 gen 4 step 2
paused 3 gen 4 step 2
> load 1 gen 4 shards 0
> load 2 gen 4 shards 1
> load 3 gen 4 shards 2 3
loaded 1 gen 4
loaded 2 gen 4
loaded 3 gen 4
> announce {"event":"group","generation":4,"step":2,"nodes":3,"owner":[0,1,2,2]}
> start 1 gen 4 rank 0 step 2 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 owner 0122
> start 2 gen 4 rank 1 step 2 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 owner 0122
> start 3 gen 4 rank 2 step 2 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 owner 0122
paused 1 gen 4 step 2 broken rank 1: closed by peer
paused 2 gen 4 step 2 broken rank 0: closed by peer
paused 3 gen 4 step 2
> announce {"event":"broken","rank":0,"host":"h1","pid":11,"reason":"rank 1: closed by peer","generation":4,"step":2}
> pause 1 gen 5
> pause 2 gen 5
> pause 3 gen 5
paused 1 gen 5 step 2
paused 2 gen 5 step 2
paused 3 gen 5 step 2
> load 1 gen 5 shards 0
> load 2 gen 5 shards 1
> load 3 gen 5 shards 2 3
loaded 1 gen 5
loaded 2 gen 5
loaded 3 gen 5
> announce {"event":"group","generation":5,"step":2,"nodes":3,"owner":[0,1,2,2]}
> start 1 gen 5 rank 0 step 2 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 owner 0122
> start 2 gen 5 rank 1 step 2 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 owner 0122
> start 3 gen 5 rank 2 step 2 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 owner 0122
paused 1 gen 5 step 2 broken rank 1: closed by peer
paused 2 gen 5 step 2 broken rank 0: closed by peer
paused 3 gen 5 step 2
> announce {"event":"broken","rank":0,"host":"h1","pid":11,"reason":"rank 1: closed by peer","generation":5,"step":2}
> announce {"event":"lost","rank":2,"host":"h3","pid":33,"reason":"left out for 60 s: 3 groups in a row got nowhere","generation":5,"step":0,"shards":[[2,3]]}
> pause 1 gen 6
> pause 2 gen 6
> pause 3 gen 6
)~");
}

TEST_CASE("coordinator: where both are needed, a run whose nodes do not reach each other ends with 69 after --wait") {
  coord::Plan both = patient(2);
  both.min_nodes = 2;
  story(both, trains(both) + R"~(at 10
paused 1 gen 1 step 0 unmet 1
paused 2 gen 1 step 0 unmet 0
> announce {"event":"broken","rank":0,"host":"h1","pid":11,"reason":"did not meet","generation":1,"step":0}
> pause 1 gen 2
> pause 2 gen 2
paused 1 gen 2 step 0
paused 2 gen 2 step 0
> load 1 gen 2 shards 0 1
> load 2 gen 2 shards 2 3
loaded 1 gen 2
loaded 2 gen 2
> announce {"event":"group","generation":2,"step":0,"nodes":2,"owner":[0,0,1,1]}
> start 1 gen 2 rank 0 step 0 members 10.0.0.1:7001 10.0.0.2:7002 owner 0011
> start 2 gen 2 rank 1 step 0 members 10.0.0.1:7001 10.0.0.2:7002 owner 0011
at 20
paused 1 gen 2 step 0 unmet 1
paused 2 gen 2 step 0 unmet 0
> announce {"event":"broken","rank":0,"host":"h1","pid":11,"reason":"did not meet","generation":2,"step":0}
> pause 1 gen 3
> pause 2 gen 3
paused 1 gen 3 step 0
paused 2 gen 3 step 0
> load 1 gen 3 shards 0 1
> load 2 gen 3 shards 2 3
loaded 1 gen 3
loaded 2 gen 3
> announce {"event":"group","generation":3,"step":0,"nodes":2,"owner":[0,0,1,1]}
> start 1 gen 3 rank 0 step 0 members 10.0.0.1:7001 10.0.0.2:7002 owner 0011
> start 2 gen 3 rank 1 step 0 members 10.0.0.1:7001 10.0.0.2:7002 owner 0011
at 30
paused 1 gen 3 step 0 unmet 1
paused 2 gen 3 step 0 unmet 0
> announce {"event":"broken","rank":0,"host":"h1","pid":11,"reason":"did not meet","generation":3,"step":0}
> announce {"event":"lost","rank":1,"host":"h2","pid":22,"reason":"left out for 60 s: 3 groups in a row got nowhere, and it does not reach rank 0 (h1)","generation":3,"step":0,"shards":[[2,3]]}
> pause 1 gen 4
> pause 2 gen 4
paused 1 gen 4 step 0
paused 2 gen 4 step 0
at 69
at 71
> goodbye 1 69 waited 60 s for nodes: 1 of 2 is ready, and 1 left out
> close 1
> goodbye 2 69 waited 60 s for nodes: 1 of 2 is ready, and 1 left out
> close 2
> finish 69 waited 60 s for nodes: 1 of 2 is ready, and 1 left out
)~");
}

TEST_CASE("coordinator: a checkpoint that is asked for while no group trains comes when one does") {
  story(patient(2), trains(patient(2)) + R"~(# the round breaks that the signal was in
checkpoint
> signal 1 checkpoint
paused 1 gen 1 step 3 broken rank 1: closed by peer
paused 2 gen 1 step 3 broken rank 0: closed by peer
> announce {"event":"broken","rank":0,"host":"h1","pid":11,"reason":"rank 1: closed by peer","generation":1,"step":3}
> pause 1 gen 2
> pause 2 gen 2
checkpoint
paused 1 gen 2 step 4
paused 2 gen 2 step 3
> send-state 1
state 1 asked step 4
> keep
> load 1 gen 2 shards 0 1
> load 2 gen 2 shards 2 3
# what is kept is newer than the disk's: it is written at once
checkpoint
> write asked step 4
written asked step 4
> announce {"event":"checkpoint","step":4,"checkpoint":"step-4"}
loaded 1 gen 2
loaded 2 gen 2
> announce {"event":"group","generation":2,"step":4,"nodes":2,"owner":[0,0,1,1]}
> serve 2
> start 1 gen 2 rank 0 step 4 members 10.0.0.1:7001 10.0.0.2:7002 owner 0011
> start 2 gen 2 rank 1 step 4 members 10.0.0.1:7001 10.0.0.2:7002 owner 0011
> signal 1 checkpoint
state 1 checkpoint step 6
> keep
> write checkpoint step 6
# it is there: no further one is asked for
lost 2 killed
> announce {"event":"lost","rank":1,"host":"h2","pid":22,"reason":"killed","generation":2,"step":0,"shards":[[2,3]]}
> pause 1 gen 3
paused 1 gen 3 step 7
> load 1 gen 3 shards 0 1 2 3
loaded 1 gen 3
> announce {"event":"group","generation":3,"step":7,"nodes":1,"owner":[0,0,0,0]}
> start 1 gen 3 rank 0 step 7 members 10.0.0.1:7001 owner 0000
)~");
}
