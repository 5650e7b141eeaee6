#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A node that is slowed in the middle of a run loses shards, and nobody can tell from the parameters.
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 70

dl-shard -q -n 8 --seed 3 -o shards "$digits" >/dev/null || exit 70
train=(dl-coord -q --data shards --model 'dense 512 relu; dense 512 relu' --batch 1024 --lr 0.05 --json)

"${train[@]}" -o alone --spawn 1 --epochs 150 >alone.json 2>alone.log || { cat alone.log; exit 70; }
wanted=$(field params_sha256 alone.json)

# Stopped for three quarters of the time, until the run is over.
slow_down() {
  while kill -STOP "$1" 2>/dev/null; do
    sleep 0.03
    kill -CONT "$1" 2>/dev/null
    sleep 0.01
  done
}

# Where other programs fill the processors, a run may end before it is sure of anything: then another one.
slowed() {
  local attempt
  for attempt in 1 2 3; do
    slowed_once || return 1
    grep -q '"event":"moving"' slowed.json && return 0
    mv slowed "slowed-$attempt"
  done
}
slowed_once() {
  "${train[@]}" -o slowed --spawn 2 --epochs 150 --assign adaptive >slowed.json 2>slowed.log &
  local coord=$! pid
  until_true 20 grep -q '"first_step"' slowed.json || return 1
  pid=$(grep '"joined"' slowed.json | sed -n 's/.*"rank":1.*"pid":\([0-9]*\).*/\1/p')
  slow_down "$pid" &
  local slower=$!
  wait $coord || { cat slowed.log; return 1; }
  wait $slower || true
}
fact "a node is slowed, and the run ends" slowed
fact "shards were moved" grep -q '"event":"moving"' slowed.json
least() { grep '"event":"group"' slowed.json | sed 's/.*"owner":\[\(.*\)\].*/\1/' | awk -F, '{n = 0; for (i = 1; i <= NF; ++i) n += $i; if (NR == 1 || n < least) least = n} END {print least}'; }
fact "the slow one had fewer than half of them" test "$(least)" -lt 4
fact "the bits are those of one node" same "$(field params_sha256 slowed.json)" "$wanted"
fact "where the time went is told at the end" grep -q '"event":"nodes".*"wait_seconds"' slowed.json
finish
