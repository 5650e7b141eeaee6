// SPDX-License-Identifier: MIT
// Stories of the time between a group's agreement and its start, when nodes load and fetch.
#include "stories.h"

using namespace dl;
using test::story;

namespace {

coord::Plan plan() {
  coord::Plan p = test::plan();
  p.dead_after_ns = 1'000'000'000'000;  // whose hearts beat is not the question here
  p.hung_after_ns = 4'000'000'000;
  return p;
}

const std::string kTwoLoad = R"(arrive 1
> welcome 1 to run
arrive 2
> welcome 2 to run
ready 1
> pause 1 gen 1
paused 1 gen 1 step -1
ready 2
> pause 2 gen 1
paused 2 gen 1 step -1
> load 1 gen 1 shards 0 1
> load 2 gen 1 shards 2 3
)";

}  // namespace

TEST_CASE("loading: nobody starts before all hold their shards; who fetches for long is at work") {
  story(plan(), kTwoLoad + R"(loaded 1 gen 1
at 3
beat 2 5
at 6
coming 2
at 9
loaded 1 gen 1
loaded 2 gen 7
loaded 2 gen 1
> announce {"event":"joined","rank":0,"host":"h1","pid":11,"threads":1,"kernel":"scalar","generation":1,"step":0}
> announce {"event":"joined","rank":1,"host":"h2","pid":22,"threads":1,"kernel":"scalar","generation":1,"step":0}
> announce {"event":"group","generation":1,"step":0,"nodes":2,"owner":[0,0,1,1]}
> start 1 gen 1 rank 0 step 0 members 10.0.0.1:7001 10.0.0.2:7002 owner 0011
> start 2 gen 1 rank 1 step 0 members 10.0.0.1:7001 10.0.0.2:7002 owner 0011
loaded 2 gen 1
)");
}

TEST_CASE("loading: whose fetch stands still hangs; the others load what it leaves") {
  coord::Plan p = plan();
  p.nodes = 1;
  story(p, R"(arrive 1
> welcome 1 to run
arrive 2
> welcome 2 to run
ready 1
> pause 1 gen 1
ready 2
> pause 2 gen 1
paused 1 gen 1 step -1
paused 2 gen 1 step -1
> load 1 gen 1 shards 0 1
> load 2 gen 1 shards 2 3
loaded 1 gen 1
at 3
coming 2
at 7.5
> close 2
> announce {"event":"lost","rank":null,"host":"h2","pid":22,"reason":"it hangs: its heart beats, its work has stood still for 4.5 s","generation":1,"step":0,"shards":[]}
> pause 1 gen 2
paused 1 gen 2 step -1
> load 1 gen 2 shards 0 1 2 3
# of the generation before: it counts for nothing
loaded 1 gen 1
loaded 1 gen 2
> announce {"event":"joined","rank":0,"host":"h1","pid":11,"threads":1,"kernel":"scalar","generation":2,"step":0}
> announce {"event":"group","generation":2,"step":0,"nodes":1,"owner":[0,0,0,0]}
> start 1 gen 2 rank 0 step 0 members 10.0.0.1:7001 owner 0000
)");
}

TEST_CASE("loading: a node that comes meanwhile is in the group that forms anew") {
  story(plan(), kTwoLoad + R"(arrive 3
> welcome 3 to run
ready 3
> pause 1 gen 2
> pause 2 gen 2
> pause 3 gen 2
loaded 1 gen 1
paused 1 gen 2 step -1
paused 3 gen 2 step -1
# the second one ends the file that it was fetching
at 3
coming 2
paused 2 gen 2 step -1
> load 1 gen 2 shards 0
> load 2 gen 2 shards 1
> load 3 gen 2 shards 2 3
)");
}

TEST_CASE("loading: a stop ends the run at once, with what is kept") {
  coord::Plan p = plan();
  p.kept_step = 7;
  p.nodes = 1;
  story(p, R"(arrive 1
> welcome 1 to run
ready 1
> pause 1 gen 1
paused 1 gen 1 step -1
> load 1 gen 1 shards 0 1 2 3
stop 143
> goodbye 1 0
> close 1
> finish 143 asked to stop
)");
}

TEST_CASE("loading: who fetches the manifest for longer than --wait is not missing") {
  story(plan(), R"(arrive 1
> welcome 1 to run
ready 1
> pause 1 gen 1
paused 1 gen 1 step -1
arrive 2
> welcome 2 to run
at 50
coming 2
at 100
ready 2
> pause 2 gen 1
paused 2 gen 1 step -1
> load 1 gen 1 shards 0 1
> load 2 gen 1 shards 2 3
)");
}

TEST_CASE("loading: bad data at a first node, or a file that is gone here, ends the run with its code") {
  story(plan(), kTwoLoad + R"(refuse 2 65 shard-0002.dls: another digest
> goodbye 1 65 shard-0002.dls: another digest
> close 1
> goodbye 2 65 shard-0002.dls: another digest
> close 2
> finish 65 the node at 'h2' (pid 22): shard-0002.dls: another digest
)");
  story(plan(), kTwoLoad + R"(data-failed 66 d/shard-0002.dls: no such file
> goodbye 1 66 d/shard-0002.dls: no such file
> close 1
> goodbye 2 66 d/shard-0002.dls: no such file
> close 2
> finish 66 d/shard-0002.dls: no such file
)");
}

TEST_CASE("loading: a full cache loses its node, not the run") {
  story(plan(), kTwoLoad + R"(refuse 2 74 cache: no space left
> close 2
> announce {"event":"lost","rank":null,"host":"h2","pid":22,"reason":"it left: cache: no space left","generation":1,"step":0,"shards":[]}
> pause 1 gen 2
paused 1 gen 2 step -1
at 61
> goodbye 1 69 waited 60 s for nodes: 1 of 2 is ready
> close 1
> finish 69 waited 60 s for nodes: 1 of 2 is ready
)");
}

TEST_CASE("loading: where blocks are dealt, every rank holds all shards, and who finds no block stands by") {
  coord::Plan p = plan();
  p.blocks = {.common_flops = 0, .flops = {7.5e10, 7.5e10, 7.5e10}, .part_bytes = 0};
  story(p, R"(arrive 1
> welcome 1 to run
arrive 2
> welcome 2 to run
ready 1
> pause 1 gen 1
paused 1 gen 1 step -1
ready 2
> pause 2 gen 1
paused 2 gen 1 step -1
> load 1 gen 1 shards 0 1 2 3
> load 2 gen 1 shards 0 1 2 3
loaded 1 gen 1
loaded 2 gen 1
> announce {"event":"joined","rank":0,"host":"h1","pid":11,"threads":1,"kernel":"scalar","generation":1,"step":0}
> announce {"event":"joined","rank":1,"host":"h2","pid":22,"threads":1,"kernel":"scalar","generation":1,"step":0}
> announce {"event":"group","generation":1,"step":0,"nodes":2,"owner":[0,0,0,0],"blocks":[0,0,1],"predicted_step_seconds":1.0}
> start 1 gen 1 rank 0 step 0 members 10.0.0.1:7001 10.0.0.2:7002 owner 0000 blocks 001
> start 2 gen 1 rank 1 step 0 members 10.0.0.1:7001 10.0.0.2:7002 owner 0000 blocks 001
)");
  p.nodes = 4;
  p.assignment = coord::Assignment::round_robin;
  const std::string four = test::play(p, R"(arrive 1
arrive 2
arrive 3
arrive 4
ready 1
ready 2
ready 3
ready 4
paused 1 gen 1 step -1
paused 2 gen 1 step -1
paused 3 gen 1 step -1
paused 4 gen 1 step -1
loaded 1 gen 1
loaded 2 gen 1
loaded 3 gen 1
)");
  CHECK(four.find("load 3 gen 1 shards 0 1 2 3") != std::string::npos);
  CHECK(four.find("load 4") == std::string::npos);
  CHECK(four.find("blocks 012") != std::string::npos);
}

TEST_CASE("loading: nobody starts before the generation is on the disk; a full one holds the group up") {
  coord::Plan p = plan();
  p.nodes = 1;
  story(p, R"(disk full
arrive 1
> welcome 1 to run
ready 1
> pause 1 gen 1
paused 1 gen 1 step -1
> load 1 gen 1 shards 0 1 2 3
loaded 1 gen 1
> announce {"event":"joined","rank":0,"host":"h1","pid":11,"threads":1,"kernel":"scalar","generation":1,"step":0}
> announce {"event":"group","generation":1,"step":0,"nodes":1,"owner":[0,0,0,0]}
> record gen 1
# said once more, it is announced once
loaded 1 gen 1
at 1
> record gen 1
# who comes meanwhile is in another group
arrive 2
> welcome 2 to run
ready 2
> pause 1 gen 2
> pause 2 gen 2
paused 1 gen 2 step -1
paused 2 gen 2 step -1
> load 1 gen 2 shards 0 1
> load 2 gen 2 shards 2 3
loaded 1 gen 2
loaded 2 gen 2
> announce {"event":"joined","rank":1,"host":"h2","pid":22,"threads":1,"kernel":"scalar","generation":2,"step":0}
> announce {"event":"group","generation":2,"step":0,"nodes":2,"owner":[0,0,1,1]}
> record gen 2
disk free
at 2
> start 1 gen 2 rank 0 step 0 members 10.0.0.1:7001 10.0.0.2:7002 owner 0011
> start 2 gen 2 rank 1 step 0 members 10.0.0.1:7001 10.0.0.2:7002 owner 0011
)");
}

TEST_CASE("loading: a generation that cannot be recorded for --wait ends the run with 74, a stop at once") {
  coord::Plan p = plan();
  p.nodes = 1;
  const std::string announced = R"(disk full
arrive 1
> welcome 1 to run
ready 1
> pause 1 gen 1
paused 1 gen 1 step -1
> load 1 gen 1 shards 0 1 2 3
loaded 1 gen 1
> announce {"event":"joined","rank":0,"host":"h1","pid":11,"threads":1,"kernel":"scalar","generation":1,"step":0}
> announce {"event":"group","generation":1,"step":0,"nodes":1,"owner":[0,0,0,0]}
> record gen 1
)";
  story(p, announced + R"(at 60
> record gen 1
at 61
> goodbye 1 74 generation 1 cannot begin, since it cannot be recorded: no room
> close 1
> finish 74 generation 1 cannot begin, since it cannot be recorded: no room
)");
  story(p, announced + R"(stop 143
> goodbye 1 0
> close 1
> finish 143 asked to stop
)");
}
