// SPDX-License-Identifier: MIT
// Who is in the group, with which state.
#include "stories.h"

using namespace dl;
using test::kTwoTrain;
using test::plan;
using test::story;

TEST_CASE("coordinator: survivors go on at once, a newcomer joins at a step border and gets the state") {
  story(plan(), kTwoTrain + R"(# rank 0 dies; rank 1 is a step ahead of the newcomer and has what nobody else has
progress 1 step 4
> live step 4
lost 1 connection reset by peer
> announce {"event":"lost","rank":0,"host":"h1","pid":11,"reason":"connection reset by peer","generation":1,"step":4,"shards":[[0,1]]}
> pause 2 gen 2
paused 2 gen 2 step 5
> load 2 gen 2 shards 0 1 2 3
loaded 2 gen 2
> announce {"event":"group","generation":2,"step":5,"nodes":1,"owner":[0,0,0,0]}
> start 2 gen 2 rank 0 step 5 members 10.0.0.2:7002 owner 0000
# a respawned node: rank 0 of now pauses at a step's border
arrive 3
> welcome 3 to run
ready 3
> signal 2 pause
paused 2 gen 2 step 8
> pause 2 gen 3
> pause 3 gen 3
paused 3 gen 3 step -1
paused 2 gen 3 step 8
> send-state 2
state 2 asked step 7
state 2 asked step 8
> keep
> load 2 gen 3 shards 0 1
> load 3 gen 3 shards 2 3
loaded 2 gen 3
loaded 3 gen 3
> announce {"event":"joined","rank":1,"host":"h3","pid":33,"threads":1,"kernel":"scalar","generation":3,"step":8}
> announce {"event":"group","generation":3,"step":8,"nodes":2,"owner":[0,0,1,1]}
> serve 3
> start 2 gen 3 rank 0 step 8 members 10.0.0.2:7002 10.0.0.3:7003 owner 0011
> start 3 gen 3 rank 1 step 8 members 10.0.0.2:7002 10.0.0.3:7003 owner 0011
)");
}

TEST_CASE("coordinator: the highest applied step wins as long as its holder lives") {
  story(plan(), kTwoTrain + R"(arrive 3
> welcome 3 to run
ready 3
> signal 1 pause
paused 1 gen 1 step 6
paused 2 gen 1 step 6
> pause 1 gen 2
> pause 2 gen 2
> pause 3 gen 2
# between the steps the group breaks: one has applied step 7
lost 3 closed by peer
> announce {"event":"lost","rank":null,"host":"h3","pid":33,"reason":"closed by peer","generation":2,"step":0,"shards":[]}
paused 1 gen 2 step 6
paused 2 gen 2 step 7
> send-state 2
lost 2 killed
> announce {"event":"lost","rank":1,"host":"h2","pid":22,"reason":"killed","generation":2,"step":0,"shards":[[2,3]]}
> load 1 gen 2 shards 0 1 2 3
loaded 1 gen 2
> announce {"event":"group","generation":2,"step":6,"nodes":1,"owner":[0,0,0,0]}
> start 1 gen 2 rank 0 step 6 members 10.0.0.1:7001 owner 0000
)");
}

TEST_CASE("coordinator: in which order updates were applied is logged as every member tells it, before its state counts") {
  story(plan(), kTwoTrain + R"(updates 1 gen 1 from 0 to 4
> append 0 to 4
updates 2 gen 1 from 0 to 4
> append 0 to 4
# another generation, and a stranger
updates 2 gen 2 from 4 to 6
arrive 3
> welcome 3 to run
updates 3 gen 1 from 4 to 6
# the group breaks; who has told of a round may have its state
lost 1 connection reset by peer
> announce {"event":"lost","rank":0,"host":"h1","pid":11,"reason":"connection reset by peer","generation":1,"step":0,"shards":[[0,1]]}
> pause 2 gen 2
updates 2 gen 1 from 4 to 9
> append 4 to 9
paused 2 gen 2 step 9
> load 2 gen 2 shards 0 1 2 3
loaded 2 gen 2
> announce {"event":"group","generation":2,"step":9,"nodes":1,"owner":[0,0,0,0]}
> start 2 gen 2 rank 0 step 9 members 10.0.0.2:7002 owner 0000
updates 2 gen 1 from 4 to 9
updates 2 gen 2 from 9 to 12
> append 9 to 12
)");
}

TEST_CASE("coordinator: survivors go on from the newest mirror that one of them has") {
  story(plan(), kTwoTrain + R"(arrive 3
> welcome 3 to run
ready 3
> signal 1 pause
paused 1 gen 1 step 6
paused 2 gen 1 step 6
> pause 1 gen 2
> pause 2 gen 2
> pause 3 gen 2
paused 1 gen 2 step 6
paused 2 gen 2 step 6
paused 3 gen 2 step 6
> load 1 gen 2 shards 0
> load 2 gen 2 shards 1
> load 3 gen 2 shards 2 3
loaded 1 gen 2
loaded 2 gen 2
loaded 3 gen 2
> announce {"event":"joined","rank":2,"host":"h3","pid":33,"threads":1,"kernel":"scalar","generation":2,"step":6}
> announce {"event":"group","generation":2,"step":6,"nodes":3,"owner":[0,1,2,2]}
> start 1 gen 2 rank 0 step 6 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 owner 0122
> start 2 gen 2 rank 1 step 6 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 owner 0122
> start 3 gen 2 rank 2 step 6 members 10.0.0.1:7001 10.0.0.2:7002 10.0.0.3:7003 owner 0122
state 1 checkpoint step 8
> keep
> write checkpoint step 8
# a node is lost while the others mirror step 12: one has it, the other still that of step 9
lost 1 killed
> announce {"event":"lost","rank":0,"host":"h1","pid":11,"reason":"killed","generation":2,"step":0,"shards":[[0,0]]}
> pause 2 gen 3
> pause 3 gen 3
paused 2 gen 3 step 9
paused 3 gen 3 step 12
> send-state 3
state 3 asked step 12
> keep
> load 2 gen 3 shards 0 1
> load 3 gen 3 shards 2 3
loaded 2 gen 3
loaded 3 gen 3
> announce {"event":"group","generation":3,"step":12,"nodes":2,"owner":[0,0,1,1]}
> serve 2
> start 2 gen 3 rank 0 step 12 members 10.0.0.2:7002 10.0.0.3:7003 owner 0011
> start 3 gen 3 rank 1 step 12 members 10.0.0.2:7002 10.0.0.3:7003 owner 0011
# the checkpoint is newer than any mirror
state 2 checkpoint step 16
> keep
> write checkpoint step 16
lost 3 killed
> announce {"event":"lost","rank":1,"host":"h3","pid":33,"reason":"killed","generation":3,"step":0,"shards":[[2,3]]}
> pause 2 gen 4
paused 2 gen 4 step 15
> load 2 gen 4 shards 0 1 2 3
loaded 2 gen 4
> announce {"event":"group","generation":4,"step":16,"nodes":1,"owner":[0,0,0,0]}
> serve 2
> start 2 gen 4 rank 0 step 16 members 10.0.0.2:7002 owner 0000
)");
}

TEST_CASE("coordinator: a resumed run serves the checkpoint; a message of an old generation changes nothing") {
  coord::Plan resumed = plan();
  resumed.kept_step = 20;
  story(resumed, R"(arrive 1
> welcome 1 to run
ready 1
> pause 1 gen 1
arrive 2
> welcome 2 to run
ready 2
> pause 2 gen 1
paused 2 gen 1 step -1
paused 1 gen 1 step -1
> load 1 gen 1 shards 0 1
> load 2 gen 1 shards 2 3
loaded 1 gen 1
loaded 2 gen 1
> announce {"event":"joined","rank":0,"host":"h1","pid":11,"threads":1,"kernel":"scalar","generation":1,"step":20}
> announce {"event":"joined","rank":1,"host":"h2","pid":22,"threads":1,"kernel":"scalar","generation":1,"step":20}
> announce {"event":"group","generation":1,"step":20,"nodes":2,"owner":[0,0,1,1]}
> serve 1
> serve 2
> start 1 gen 1 rank 0 step 20 members 10.0.0.1:7001 10.0.0.2:7002 owner 0011
> start 2 gen 1 rank 1 step 20 members 10.0.0.1:7001 10.0.0.2:7002 owner 0011
# everything of generation 1 comes too late
lost 2 gone
> announce {"event":"lost","rank":1,"host":"h2","pid":22,"reason":"gone","generation":1,"step":0,"shards":[[2,3]]}
> pause 1 gen 2
paused 1 gen 1 step 30
paused 1 gen 2 step 21
> load 1 gen 2 shards 0 1 2 3
loaded 1 gen 2
> announce {"event":"group","generation":2,"step":21,"nodes":1,"owner":[0,0,0,0]}
> start 1 gen 2 rank 0 step 21 members 10.0.0.1:7001 owner 0000
done 1 step 40 sha x
stop 130
> signal 1 pause
paused 1 gen 2 step 25
> send-state 1
lost 1 gone
> announce {"event":"lost","rank":0,"host":"h1","pid":11,"reason":"gone","generation":2,"step":40,"shards":[[0,3]]}
> finish 130 asked to stop
)");
}

TEST_CASE("coordinator: who differs in version, data, model or arithmetic is refused with both values") {
  story(plan(), R"~(arrive 1 version=dl_0
> refuse 1 76 versions differ: the node is 'dl_0' (protocol 7), the coordinator is 'dl 1' (protocol 7)
> close 1
> announce {"event":"refused","host":"h1","pid":11,"reason":"its version is 'dl_0' (protocol 7), ours is 'dl 1' (protocol 7)"}
arrive 2 protocol=9
> refuse 2 76 versions differ: the node is 'dl 1' (protocol 9), the coordinator is 'dl 1' (protocol 7)
> close 2
> announce {"event":"refused","host":"h2","pid":22,"reason":"its version is 'dl 1' (protocol 9), ours is 'dl 1' (protocol 7)"}
arrive 3
> welcome 3 to run
ready 3 manifest=x
> refuse 3 76 node and coordinator disagree: its data has manifest 'x', the run's has 'm'
> close 3
> announce {"event":"refused","host":"h3","pid":33,"reason":"its data has manifest 'x', the run's has 'm'"}
arrive 4
> welcome 4 to run
ready 4 parameters=11
> refuse 4 76 node and coordinator disagree: its model has 11 parameters, the run's has 10
> close 4
> announce {"event":"refused","host":"h4","pid":44,"reason":"its model has 11 parameters, the run's has 10"}
arrive 5
> welcome 5 to run
ready 5 arithmetic=openblas-Haswell
> refuse 5 76 node and coordinator disagree: its arithmetic is 'openblas-Haswell', the run's is 'defined'
> close 5
> announce {"event":"refused","host":"h5","pid":55,"reason":"its arithmetic is 'openblas-Haswell', the run's is 'defined'"}
arrive 6
> welcome 6 to run
goodbye 6 65 shard-0003.dls: the digest differs
> goodbye 6 65 shard-0003.dls: the digest differs
> close 6
> finish 65 the node at 'h6' (pid 66): shard-0003.dls: the digest differs
)~");
}

TEST_CASE("coordinator: nodes beyond the shards stand by; a loopback peer is found where we were found") {
  coord::Plan small = plan();
  small.shard_samples = {5, 5};
  small.nodes = 3;
  story(small, R"(arrive 1 address=127.0.0.1 via=127.0.0.1
> welcome 1 to run
arrive 2 address=10.0.0.2 via=10.0.0.99
> welcome 2 to run
arrive 3
> welcome 3 to run
ready 1
> pause 1 gen 1
ready 2
> pause 2 gen 1
ready 3
> pause 3 gen 1
paused 1 gen 1 step -1
paused 2 gen 1 step -1
paused 3 gen 1 step -1
> load 1 gen 1 shards 0
> load 2 gen 1 shards 1
loaded 1 gen 1
loaded 2 gen 1
> announce {"event":"joined","rank":0,"host":"h1","pid":11,"threads":1,"kernel":"scalar","generation":1,"step":0}
> announce {"event":"joined","rank":1,"host":"h2","pid":22,"threads":1,"kernel":"scalar","generation":1,"step":0}
> announce {"event":"group","generation":1,"step":0,"nodes":2,"owner":[0,1]}
> start 1 gen 1 rank 0 step 0 members 127.0.0.1:7001 10.0.0.2:7002 owner 01
> start 2 gen 1 rank 1 step 0 members 10.0.0.99:7001 10.0.0.2:7002 owner 01
)");
}

TEST_CASE("coordinator: adaptive moves shards from a slow node at a step's end, and does not give them back") {
  coord::Plan adaptive = plan();
  adaptive.shard_samples.assign(8, 5);
  adaptive.assignment = coord::Assignment::adaptive;
  adaptive.total_steps = 1000;
  story(adaptive, R"(arrive 1
> welcome 1 to run
ready 1 speed=1e9
> pause 1 gen 1
arrive 2
> welcome 2 to run
# a declared speed is rough: a tenth more counts as equal
ready 2 speed=1.1e9
> pause 2 gen 1
paused 1 gen 1 step -1
paused 2 gen 1 step -1
> load 1 gen 1 shards 0 1 2 3
> load 2 gen 1 shards 4 5 6 7
loaded 1 gen 1
loaded 2 gen 1
> announce {"event":"joined","rank":0,"host":"h1","pid":11,"threads":1,"kernel":"scalar","generation":1,"step":0}
> announce {"event":"joined","rank":1,"host":"h2","pid":22,"threads":1,"kernel":"scalar","generation":1,"step":0}
> announce {"event":"group","generation":1,"step":0,"nodes":2,"owner":[0,0,0,0,1,1,1,1]}
> start 1 gen 1 rank 0 step 0 members 10.0.0.1:7001 10.0.0.2:7002 owner 00001111
> start 2 gen 1 rank 1 step 0 members 10.0.0.1:7001 10.0.0.2:7002 owner 00001111
# what is of another generation, of another rank or about another number of ranks says nothing
pace 1 gen 0 step 4 took 0.02 ranks 0.005 0.02
pace 2 gen 1 step 4 took 0.02 ranks 0.005 0.02
pace 1 gen 1 step 4 took 0.02 ranks 0.005 0.02 0.02
# even enough
pace 1 gen 1 step 4 took 0.02 ranks 0.0198 0.02
pace 1 gen 1 step 8 took 0.02 ranks 0.005 0.02
> announce {"event":"moving","generation":1,"step":8,"shards":3,"samples_per_second":[4000.0,1000.0],"step_seconds":0.02,"gain_seconds":0.01125}
> signal 1 pause
# once is enough
pace 1 gen 1 step 9 took 0.02 ranks 0.005 0.02
at 0.03
paused 1 gen 1 step 9
paused 2 gen 1 step 9
> pause 1 gen 2
> pause 2 gen 2
paused 1 gen 2 step 9
paused 2 gen 2 step 9
> load 1 gen 2 shards 0 1 2 3 4 5 6
> load 2 gen 2 shards 7
loaded 1 gen 2
loaded 2 gen 2
> announce {"event":"group","generation":2,"step":9,"nodes":2,"owner":[0,0,0,0,0,0,0,1]}
> start 1 gen 2 rank 0 step 9 members 10.0.0.1:7001 10.0.0.2:7002 owner 00000001
> start 2 gen 2 rank 1 step 9 members 10.0.0.1:7001 10.0.0.2:7002 owner 00000001
at 0.06
progress 1 step 10
> live step 10
# it looks fast now, under less work: that is no reason to go back
pace 1 gen 2 step 14 took 0.009 ranks 0.00875 0.00125
)");
}
