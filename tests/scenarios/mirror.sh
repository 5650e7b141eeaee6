#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# --mirror: where a lost node alone had a part of the state, the others go on from a copy in their memory, with no
# checkpoint far and wide, and end with the bits of an undisturbed run.
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 70

dl-shard -q -n 8 --test 0.2 --seed 3 -o shards "$digits" >/dev/null || exit 70
options=(-q --data shards --model 'dense 48 relu; dense 24 tanh' --batch 96 --optimizer momentum --lr 0.05
  --checkpoint-every 1000000000 --json)
epochs=300 every=20

# calm NAME OPTION...: undisturbed, on one node and without mirrors
calm() {
  local name=$1
  shift
  dl-coord "${options[@]}" -o "$name" --epochs $epochs --spawn 1 "$@" >"$name.json" 2>"$name.log" || { cat "$name.log"; return 1; }
}

# number KEY LINE: a member of an event
number() { sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p" <<<"$2"; }

# went_back NAME LEAST: after the loss the group went on from a step that a mirror had, not long before
went_back() {
  local lost group from step
  lost=$(grep '"event": *"lost"' "$1.json" | head -n 1)
  group=$(sed -n '/"event": *"lost"/,$p' "$1.json" | grep '"event": *"group"' | head -n 1)
  from=$(number step "$lost") step=$(number step "$group")
  [ -n "$step" ] && [ "$step" -gt 0 ] && [ $((from - step)) -le "$2" ] ||
    { echo "  lost at step $from, on from step $step"; return 1; }
  ! sed '/"event": *"group".*"step": *'"$step"',/q' "$1.json" | grep -q '"event": *"checkpoint"'
}

# killed NAME LEAST OPTION...: one of three nodes dies long after the run's begin, and no checkpoint is there
killed() {
  local name=$1 least=$2 coord
  shift 2
  setsid dl-coord "${options[@]}" -o "$name" --epochs $epochs --spawn 3 --mirror $every "$@" >"$name.json" 2>"$name.log" &
  coord=$!
  until_true 30 grep -qE '"epoch": *1[0-9],' "$name.json" || { cat "$name.log"; return 1; }
  pkill -9 -P $coord -n dl-node || return 1
  wait $coord || { cat "$name.log"; return 1; }
  went_back "$name" "$least"
}
bits() { same "$(field params_sha256 "$1.json")" "$(field params_sha256 "$2.json")"; }
audit() { dl-eval -q --audit "$1" >"$1.audit" 2>&1 || { cat "$1.audit"; return 1; }; }

fact "sync: undisturbed" calm sync
fact "tensor: undisturbed" calm tensor --mode tensor
fact "int8: undisturbed" calm int8 --compress int8
fact "local: undisturbed" calm local --mode local --local-steps 8 --compress int8
while IFS='|' read -r name like most more; do
  name=$(echo $name) like=$(echo $like)
  [ -n "$name" ] || continue
  fact "$name: a node is killed, at most $most steps are done again, and the run ends" killed "$name" $most $more
  fact "$name: the same bits" bits "$name" "$like"
  fact "$name: every sample was used once in each epoch" audit "$name"
done <<<"
pipeline | sync | $every | --mode pipeline
tensor-3 | tensor | $every | --mode tensor
int8-3 | int8 | $every | --compress int8
local-3 | local | $((every + 8)) | --mode local --local-steps 8 --compress int8
"
replayed() {
  dl-coord -q --replay "$1" --json >"$1.replay" 2>replay.log || { cat replay.log; return 1; }
  same "$(field params_sha256 "$1.replay")" "$(field params_sha256 "$1.json")"
}
while IFS='|' read -r name more; do
  name=$(echo $name)
  [ -n "$name" ] || continue
  fact "$name: a node is killed, and the run goes back to its mirror, and ends" killed "$name" $every --mode async $more
  fact "$name: every sample was used once in each epoch" audit "$name"
  fact "$name: a replay on one node has the same bits" replayed "$name"
done <<<"
async |
async-int8 | --compress int8
"

headless() {  # the coordinator is killed; nodes keep their mirrors
  in_background=(dl-coord "${options[@]}" -o headless --epochs $epochs --mode pipeline --mirror $every --nodes 2)
  "${in_background[@]}" --listen 127.0.0.1:0 >headless.json 2>headless.log & local c=$! address n nodes=()
  until_true 10 test -s headless/address || return 1
  address=$(cat headless/address)
  for n in 1 2; do
    DL_KEY_FILE=headless/key dl-node -q --coord "$address" 2>>headless.log &
    nodes+=($!)
  done
  until_true 30 grep -qE '"epoch": *1[0-9],' headless.json || { cat headless.log; return 1; }
  kill -9 $c
  wait $c 2>/dev/null
  "${in_background[@]}" --listen "$address" >headless2.json 2>>headless.log & c=$!
  wait $c || { cat headless.log; return 1; }
  wait "${nodes[@]}"
  [ "$(number step "$(grep '"event": *"group"' headless2.json | head -n 1)")" -gt 0 ] || { grep group headless2.json; return 1; }
  bits headless2 sync && audit headless
}
fact "a coordinator that is started again finds mirrors at its nodes: the same bits" headless

bad() { exits 64 dl-coord "${options[@]}" -o bad --spawn 1 --epochs 1 "$@" 2>bad.log; }
fact "sync has no use for mirrors: 64" bad --mirror 10
fact "nor has local: 64" bad --mode local --mirror 10
fact "the line says who has" grep -q 'async, pipeline, tensor' bad.log
fact "a mirror every 0 steps: 64" bad --mode pipeline --mirror 0
longer() {
  dl-coord "${options[@]}" -o pipeline --epochs $((epochs + 1)) --mode pipeline --mirror 7 --spawn 2 >longer.json 2>longer.log ||
    { cat longer.log; return 1; }
}
fact "another distance than before is no other run" longer
finish
