#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What follows from a loss is chosen: --on-loss, --min-nodes. And checkpoints that are asked for with SIGUSR1.
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 70

dl-shard -q -n 8 -o shards "$digits" >/dev/null || exit 70
steps=$((6000 / ${DL_PATIENCE:-1}))
command=(dl-coord -q --data shards --model 'dense 64 relu; dense 32 relu' --batch 128 --optimizer adam --lr 0.001
  --checkpoint-every 1000000 --json)
"${command[@]}" --steps $steps -o calm --spawn 1 >calm.json || exit 70
wanted=$(field params_sha256 calm.json)

node() { dl-node -q --coord "$(cat "$run/address")" --key "$run/key" 2>>"$run.log" & }
# begin NAME NODES OPTION...: a coordinator and nodes by hand; $c, $nodes
begin() {
  run=$1
  local count=$2 n
  shift 2
  "${command[@]}" -o "$run" --listen 127.0.0.1:0 --nodes "$count" "$@" >"$run.json" 2>"$run.log" & c=$!
  until_true 20 test -s "$run/address" || { cat "$run.log"; return 1; }
  nodes=()
  for n in $(seq "$count"); do
    node
    nodes+=($!)
  done
  until_true 20 grep -q first_step "$run.json" || { cat "$run.log"; return 1; }
}
groups() { [ "$(grep -c '"event": *"group"' "$run.json")" = "$1" ]; }
lost() { [ "$(grep -c '"event": *"lost"' "$run.json")" = "$1" ]; }
ends() {  # CODE
  local code=0
  wait $c || code=$?
  [ $code = "$1" ] || { echo "  exit $code instead of $1"; cat "$run.log"; return 1; }
}
goes_on() {  # the same command, from where it was
  "${command[@]}" --steps $steps -o "$run" --spawn 1 "$@" >"$run.2.json" || return 1
  grep '"event": *"group"' "$run.2.json" | head -n 1 | grep -q '"step": *[1-9]' || { cat "$run.2.json"; return 1; }
  same "$(field params_sha256 "$run.2.json")" "$wanted"
}

stop() {
  begin stop 2 --steps $steps --on-loss stop && kill -9 "${nodes[1]}" && ends 69 || return 1
  grep -q 'on-loss is stop' stop.log && test -e stop/latest && goes_on
}
fact "--on-loss stop: saved, 69, and the same command goes on to the same bits" stop

waits() {
  begin waits 2 --steps $steps --on-loss wait && kill -9 "${nodes[1]}" && until_true 5 lost 1 || return 1
  sleep 0.5
  groups 1 || { echo "  it did not wait"; return 1; }
  node
  ends 0 && same "$(field params_sha256 waits.json)" "$wanted"
}
fact "--on-loss wait: the run waits for as many as before, and goes on to the same bits" waits

in_vain() {
  begin vain 2 --steps $steps --on-loss wait --wait 1s && kill -9 "${nodes[1]}" && ends 69 || return 1
  grep -q 'waited 1 s for nodes: 1 of 2 is ready' vain.log && test -e vain/latest && goes_on
}
fact "and where nobody comes it is saved, and ends with 69" in_vain

fewest() {
  begin fewest 3 --steps $steps --min-nodes 2 && kill -9 "${nodes[2]}" && until_true 5 lost 1 || return 1
  until_true 5 groups 2 || return 1
  kill -9 "${nodes[1]}"
  until_true 5 lost 2 || return 1
  sleep 0.5
  groups 2 || { echo "  it did not wait"; cat fewest.json; return 1; }
  node
  ends 0 && same "$(field params_sha256 fewest.json)" "$wanted"
}
fact "--min-nodes 2: two of three go on, one waits for another, the same bits" fewest

checkpoints() { [ "$(grep -c '"event": *"checkpoint"' "$run.json")" -ge "$1" ]; }
asked() {
  begin asked 2 --steps 100000000 && ! checkpoints 1 || return 1
  kill -USR1 $c
  until_true 5 checkpoints 1 || { echo "  no checkpoint"; return 1; }
  local n
  for n in 2 3 4; do  # also while the group changes
    kill -9 "${nodes[-1]}"
    kill -USR1 $c
    node
    nodes+=($!)
    until_true 10 checkpoints $n || { echo "  no checkpoint after a loss"; cat asked.json; return 1; }
  done
  kill -TERM $c
  ends 143 && dl-eval --audit asked >audit.txt
}
fact "SIGUSR1: a checkpoint now, or as soon as a group trains again" asked
finish
