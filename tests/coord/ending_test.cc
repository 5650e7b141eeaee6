// SPDX-License-Identifier: MIT
// Checkpoints that are written or not, and how a run ends.
#include "stories.h"

using namespace dl;
using test::kTwoTrain;
using test::plan;
using test::story;

TEST_CASE("coordinator: rank 0 tells, the coordinator writes and says done") {
  story(plan(), kTwoTrain + R"(# rank 0 tells, the coordinator writes
report 1 {"event":"first_step"}
> announce {"event":"first_step"}
progress 1 step 3
> live step 3
progress 2 step 3
report 2 {"event":"epoch","epoch":1}
report 1 {"event":"epoch","epoch":1}
> announce {"event":"epoch","epoch":1}
state 1 checkpoint step 5
> keep
> write checkpoint step 5
written checkpoint step 5
> announce {"event":"checkpoint","step":5,"checkpoint":"step-5"}
state 1 best step 5
> write best step 5
written best step 5
> announce {"event":"best","step":5,"checkpoint":"step-5"}
done 2 step 9 sha abc
state 1 final step 9
> keep
> write final step 9
done 1 step 9 sha abc summary
written final step 9
> announce {"event":"checkpoint","step":9,"checkpoint":"step-9"}
> announce {"event":"nodes","nodes":[{"rank":0,"host":"h1","pid":11,"shards":2,"busy_seconds":0.0,"wait_seconds":0.0,"communicate_seconds":0.0},{"rank":1,"host":"h2","pid":22,"shards":2,"busy_seconds":0.0,"wait_seconds":0.0,"communicate_seconds":0.0}]}
> announce {"event":"done","epochs":1,"steps":9,"samples":90,"seconds":0.5,"samples_per_second":180.0,"train_loss":0.25,"test_accuracy":0.75,"params_sha256":"abc","checkpoint":"step-9"}
> goodbye 1 0
> close 1
> goodbye 2 0
> close 2
> finish 0
)");
}

TEST_CASE("coordinator: a stop ends the step, saves it, and lets everyone go") {
  story(plan(), kTwoTrain + R"(stop 143
> signal 1 pause
paused 2 gen 1 step 4
paused 1 gen 1 step 4
> send-state 1
state 1 asked step 4
> keep
> write asked step 4
written asked step 4
> announce {"event":"checkpoint","step":4,"checkpoint":"step-4"}
> goodbye 1 0
> close 1
> goodbye 2 0
> close 2
> finish 143 asked to stop
)");
}

TEST_CASE("coordinator: different parameters at the end are a bug, with both digests") {
  story(plan(), kTwoTrain + R"(state 1 final step 9
> keep
> write final step 9
written final step 9
> announce {"event":"checkpoint","step":9,"checkpoint":"step-9"}
done 1 step 9 sha abc summary
done 2 step 9 sha abd
> goodbye 1 70 the nodes ended with different parameters: rank 0 has 'abc' at step 9, rank 1 has 'abd' at step 9
> close 1
> goodbye 2 70 the nodes ended with different parameters: rank 0 has 'abc' at step 9, rank 1 has 'abd' at step 9
> close 2
> finish 70 the nodes ended with different parameters: rank 0 has 'abc' at step 9, rank 1 has 'abd' at step 9
)");
}

TEST_CASE("coordinator: a group that is never complete ends the run with 69 after --wait") {
  coord::Plan impatient = plan();
  impatient.wait_ns = 2'000'000'000;
  story(impatient, R"(arrive 1
> welcome 1 to run
at 1
beat 1
ready 1
> pause 1 gen 1
paused 1 gen 1 step -1
at 2
beat 1
at 3
beat 1
at 3.1
> goodbye 1 69 waited 2 s for nodes: 1 of 2 is ready
> close 1
> finish 69 waited 2 s for nodes: 1 of 2 is ready
)");
}

TEST_CASE("coordinator: a checkpoint that cannot be written is told, and training goes on to the next one") {
  story(plan(), kTwoTrain + R"(state 1 checkpoint step 5
> keep
> write checkpoint step 5
write-failed checkpoint step 5 code 74 run/step-5: write: no space left on device
> announce {"event":"write_failed","step":5,"reason":"run/step-5: write: no space left on device"}
state 1 best step 5
> write best step 5
write-failed best step 5 code 74 run/best: write: no space left on device
> announce {"event":"write_failed","step":5,"reason":"run/best: write: no space left on device"}
state 1 checkpoint step 7
> keep
> write checkpoint step 7
written checkpoint step 7
> announce {"event":"checkpoint","step":7,"checkpoint":"step-7"}
)");
}

TEST_CASE("coordinator: a state that is no good ends the run with the writer's code") {
  story(plan(), kTwoTrain + R"(state 1 checkpoint step 5
> keep
> write checkpoint step 5
write-failed checkpoint step 5 code 65 parameter '0.weight' is nan at element 3
> announce {"event":"write_failed","step":5,"reason":"parameter '0.weight' is nan at element 3"}
> goodbye 1 65 parameter '0.weight' is nan at element 3
> close 1
> goodbye 2 65 parameter '0.weight' is nan at element 3
> close 2
> finish 65 parameter '0.weight' is nan at element 3
)");
}

TEST_CASE("coordinator: a stop leaves out a state that is no good, and ends with its own code") {
  story(plan(), kTwoTrain + R"(stop 143
> signal 1 pause
paused 1 gen 1 step 9
paused 2 gen 1 step 9
> send-state 1
state 1 asked step 9
> keep
> write asked step 9
write-failed asked step 9 code 65 'optimizer.v.0.weight' is inf at element 3
> announce {"event":"write_failed","step":9,"reason":"'optimizer.v.0.weight' is inf at element 3"}
> goodbye 1 0
> close 1
> goodbye 2 0
> close 2
> finish 143 asked to stop
)");
}

TEST_CASE("coordinator: a last state that cannot be written ends the run with 74") {
  const std::string end = R"(> goodbye 1 74 the coordinator cannot write: run/step-9: read-only file system
> close 1
> goodbye 2 74 the coordinator cannot write: run/step-9: read-only file system
> close 2
> finish 74 run/step-9: read-only file system
)";
  story(plan(), kTwoTrain + R"(done 2 step 9 sha abc
state 1 final step 9
> keep
> write final step 9
done 1 step 9 sha abc summary
write-failed final step 9 code 74 run/step-9: read-only file system
> announce {"event":"write_failed","step":9,"reason":"run/step-9: read-only file system"}
)" + end);
  story(plan(), kTwoTrain + R"(# the same where the run was asked to stop
stop 143
> signal 1 pause
paused 1 gen 1 step 9
paused 2 gen 1 step 9
> send-state 1
state 1 asked step 9
> keep
> write asked step 9
write-failed asked step 9 code 74 run/step-9: read-only file system
> announce {"event":"write_failed","step":9,"reason":"run/step-9: read-only file system"}
)" + end);
}
