// SPDX-License-Identifier: MIT
// Nodes that are lost, hang, or are only slow.
#include "stories.h"

using namespace dl;
using test::kTwoTrain;
using test::plan;
using test::story;

TEST_CASE("coordinator: the silent one is named, unless the silence was our own") {
  story(plan(), kTwoTrain + R"(at 1
beat 1
at 2
beat 1
at 3.1
> close 2
> announce {"event":"lost","rank":1,"host":"h2","pid":22,"reason":"nothing heard for 3.1 s","generation":1,"step":0,"shards":[[2,3]]}
> pause 1 gen 2
beat 1
paused 1 gen 2 step 3
> load 1 gen 2 shards 0 1 2 3
loaded 1 gen 2
> announce {"event":"group","generation":2,"step":3,"nodes":1,"owner":[0,0,0,0]}
> start 1 gen 2 rank 0 step 3 members 10.0.0.1:7001 owner 0000
# the coordinator itself was stopped for a minute: that is nobody's silence
at 64
at 65
at 66
at 67
at 68
> close 1
> announce {"event":"lost","rank":0,"host":"h1","pid":11,"reason":"nothing heard for 4.0 s","generation":2,"step":0,"shards":[[0,3]]}
)");
}

TEST_CASE("coordinator: a heart that beats while the work stands still is named") {
  coord::Plan quick = plan();
  quick.hung_after_ns = 4'000'000'000;
  quick.dead_after_ns = 60'000'000'000;  // whose hearts beat is not the question here
  story(quick, kTwoTrain + R"(at 1
progress 1 step 1
> live step 1
beat 2 7
at 4
at 5.1
> pause 1 gen 2
> pause 2 gen 2
paused 1 gen 2 step 1
at 9
beat 2 7
at 9.2
> close 2
> announce {"event":"lost","rank":1,"host":"h2","pid":22,"reason":"it hangs: its heart beats, its work has stood still for 4.1 s","generation":2,"step":0,"shards":[[2,3]]}
> load 1 gen 2 shards 0 1 2 3
loaded 1 gen 2
> announce {"event":"group","generation":2,"step":1,"nodes":1,"owner":[0,0,0,0]}
> start 1 gen 2 rank 0 step 1 members 10.0.0.1:7001 owner 0000
)");
}

TEST_CASE("coordinator: work that is only slow gets twice the time, and a state that comes is work") {
  coord::Plan quick = plan();
  quick.hung_after_ns = 4'000'000'000;
  quick.dead_after_ns = 60'000'000'000;
  story(quick, kTwoTrain + R"(at 4.5
> pause 1 gen 2
> pause 2 gen 2
at 7
paused 1 gen 2 step 0
paused 2 gen 2 step 1
> send-state 2
at 10
coming 2
at 13
state 2 asked step 1
> keep
> load 1 gen 2 shards 0 1
> load 2 gen 2 shards 2 3
loaded 1 gen 2
loaded 2 gen 2
> announce {"event":"group","generation":2,"step":1,"nodes":2,"owner":[0,0,1,1]}
> serve 1
> start 1 gen 2 rank 0 step 1 members 10.0.0.1:7001 10.0.0.2:7002 owner 0011
> start 2 gen 2 rank 1 step 1 members 10.0.0.1:7001 10.0.0.2:7002 owner 0011
at 20.9
at 21.1
> pause 1 gen 3
> pause 2 gen 3
)");
}

TEST_CASE("coordinator: a member with bad data ends the run, a stranger with bad data does not") {
  story(plan(), kTwoTrain + R"(arrive 3
> welcome 3 to run
goodbye 3 65 bad disk over here
> close 3
> announce {"event":"lost","rank":null,"host":"h3","pid":33,"reason":"it left: bad disk over here","generation":1,"step":0,"shards":[]}
refuse 2 65 shard-0001.dls: bad digest
> goodbye 1 65 shard-0001.dls: bad digest
> close 1
> goodbye 2 65 shard-0001.dls: bad digest
> close 2
> finish 65 the node at 'h2' (pid 22): shard-0001.dls: bad digest
)");
}

TEST_CASE("coordinator: a death after everything is done changes nothing") {
  story(plan(), kTwoTrain + R"(# rank 1 dies after the last step: its work is done
state 1 final step 9
> keep
> write final step 9
done 1 step 9 sha abc summary
lost 2 gone
> announce {"event":"lost","rank":1,"host":"h2","pid":22,"reason":"gone","generation":1,"step":0,"shards":[[2,3]]}
written final step 9
> announce {"event":"checkpoint","step":9,"checkpoint":"step-9"}
> announce {"event":"nodes","nodes":[{"rank":0,"host":"h1","pid":11,"shards":2,"busy_seconds":0.0,"wait_seconds":0.0,"communicate_seconds":0.0}]}
> announce {"event":"done","epochs":1,"steps":9,"samples":90,"seconds":0.5,"samples_per_second":180.0,"train_loss":0.25,"test_accuracy":0.75,"params_sha256":"abc","checkpoint":"step-9"}
> goodbye 1 0
> close 1
> finish 0
)");
}

TEST_CASE("coordinator: rank 0 dies before its final state came, and the others say it again") {
  story(plan(), kTwoTrain + R"(# rank 0 dies before its final state is here: the others say it again
done 2 step 9 sha abc
lost 1 gone
> announce {"event":"lost","rank":0,"host":"h1","pid":11,"reason":"gone","generation":1,"step":0,"shards":[[0,1]]}
> pause 2 gen 2
paused 2 gen 2 step 9
> load 2 gen 2 shards 0 1 2 3
loaded 2 gen 2
> announce {"event":"group","generation":2,"step":9,"nodes":1,"owner":[0,0,0,0]}
> start 2 gen 2 rank 0 step 9 members 10.0.0.2:7002 owner 0000
state 2 final step 9
> keep
> write final step 9
done 2 step 9 sha abc summary
written final step 9
> announce {"event":"checkpoint","step":9,"checkpoint":"step-9"}
> announce {"event":"nodes","nodes":[{"rank":0,"host":"h2","pid":22,"shards":4,"busy_seconds":0.0,"wait_seconds":0.0,"communicate_seconds":0.0}]}
> announce {"event":"done","epochs":1,"steps":9,"samples":90,"seconds":0.5,"samples_per_second":180.0,"train_loss":0.25,"test_accuracy":0.75,"params_sha256":"abc","checkpoint":"step-9"}
> goodbye 2 0
> close 2
> finish 0
)");
}

TEST_CASE("coordinator: when all nodes are gone it waits for new ones, and serves what it holds") {
  coord::Plan kept = plan();
  kept.nodes = 1;
  kept.wait_ns = 2'000'000'000;
  story(kept, R"(arrive 1
> welcome 1 to run
ready 1
> pause 1 gen 1
paused 1 gen 1 step -1
> load 1 gen 1 shards 0 1 2 3
loaded 1 gen 1
> announce {"event":"joined","rank":0,"host":"h1","pid":11,"threads":1,"kernel":"scalar","generation":1,"step":0}
> announce {"event":"group","generation":1,"step":0,"nodes":1,"owner":[0,0,0,0]}
> start 1 gen 1 rank 0 step 0 members 10.0.0.1:7001 owner 0000
state 1 checkpoint step 5
> keep
> write checkpoint step 5
lost 1 killed
> announce {"event":"lost","rank":0,"host":"h1","pid":11,"reason":"killed","generation":1,"step":0,"shards":[[0,3]]}
written checkpoint step 5
> announce {"event":"checkpoint","step":5,"checkpoint":"step-5"}
arrive 2 address=127.0.0.1 via=127.0.0.1
> welcome 2 to run
ready 2
> pause 2 gen 2
paused 2 gen 2 step -1
> load 2 gen 2 shards 0 1 2 3
loaded 2 gen 2
> announce {"event":"joined","rank":0,"host":"h2","pid":22,"threads":1,"kernel":"scalar","generation":2,"step":5}
> announce {"event":"group","generation":2,"step":5,"nodes":1,"owner":[0,0,0,0]}
> serve 2
> start 2 gen 2 rank 0 step 5 members 127.0.0.1:7002 owner 0000
lost 2 killed
> announce {"event":"lost","rank":0,"host":"h2","pid":22,"reason":"killed","generation":2,"step":0,"shards":[[0,3]]}
at 1
at 2
at 2.1
> finish 69 waited 2 s for nodes: 0 of 1 are ready
)");
}

TEST_CASE("coordinator: with on-loss wait, the survivors wait until they are as many again") {
  coord::Plan p = plan();
  p.on_loss = coord::OnLoss::wait;
  story(p, kTwoTrain + R"(lost 2 closed by peer
> announce {"event":"lost","rank":1,"host":"h2","pid":22,"reason":"closed by peer","generation":1,"step":0,"shards":[[2,3]]}
> pause 1 gen 2
paused 1 gen 2 step 3
arrive 3
> welcome 3 to run
ready 3
> pause 3 gen 2
paused 3 gen 2 step -1
> send-state 1
)");
  story(p, kTwoTrain + R"(# nobody comes: what there is is saved, and the run can be taken up again
lost 2 closed by peer
> announce {"event":"lost","rank":1,"host":"h2","pid":22,"reason":"closed by peer","generation":1,"step":0,"shards":[[2,3]]}
> pause 1 gen 2
paused 1 gen 2 step 3
at 59
beat 1
at 61
> send-state 1
)");
}

TEST_CASE("coordinator: with on-loss stop, the newest state is saved, and the run ends with 69") {
  coord::Plan p = plan();
  p.on_loss = coord::OnLoss::stop;
  story(p, kTwoTrain + R"(lost 2 closed by peer
> announce {"event":"lost","rank":1,"host":"h2","pid":22,"reason":"closed by peer","generation":1,"step":0,"shards":[[2,3]]}
> pause 1 gen 2
paused 1 gen 2 step 3
> send-state 1
state 1 asked step 3
> keep
> write asked step 3
written asked step 3
> announce {"event":"checkpoint","step":3,"checkpoint":"step-3"}
> goodbye 1 69 a node was lost, and --on-loss is stop
> close 1
> finish 69 a node was lost, and --on-loss is stop
)");
}
