#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What people do with it: nodes by hand before and after the coordinator, a run started twice, again,
# looked at, stopped; predictions in a pipeline; early stopping.
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 70

dl-shard -q -n 6 --test 0.2 --validation 0.1 -o shards "$digits" >/dev/null || exit 70
in_background=
coord() { $in_background dl-coord --data shards --model 'dense 64 relu' --batch 64 --optimizer momentum --lr 0.05 "$@"; }

port() {  # one that was free a moment ago
  in_background=exec coord -q -o probe --epochs 1 --listen 127.0.0.1:0 --nodes 1 >/dev/null 2>&1 & local c=$!
  until_true 10 test -s probe/address
  sed 's/.*://' probe/address
  kill -9 $c
}
by_hand() {
  local address=127.0.0.1:$(port)
  dl-node -q --coord "$address" --key hand/key & local first=$!  # waits for its coordinator
  in_background=exec coord -q -o hand --epochs 20 --listen "$address" --nodes 2 --json >hand.json & local c=$!
  dl-node -q --coord "$address" --key hand/key & local second=$!
  wait $c && wait $first && wait $second
}
fact "a node that starts before its coordinator, and one after it" by_hand
fact "started again, a complete run says done again" coord -q -o hand --epochs 20 --nodes 2 --json >again.json
fact "and the same digest" same "$(field params_sha256 again.json)" "$(field params_sha256 hand.json)"
fact "dl-eval agrees with the nodes to the last digit" same \
  "$(dl-eval hand --data shards --json | sed 's/.*"accuracy": *\([0-9.e-]*\).*/\1/')" \
  "$(field test_accuracy hand.json)"
fact "metrics.jsonl has a line for each epoch" \
  same "$(grep -c '"event": *"epoch"' hand/metrics.jsonl)" 20
fact "it goes on where it was when more epochs are asked for" coord -q -o hand --epochs 25 --spawn 1
fact "another model in the same run is refused with 76" exits 76 \
  dl-coord -q --data shards --model 'dense 65 relu' --batch 64 --optimizer momentum --lr 0.05 -o hand --epochs 30 --spawn 1

twice() {
  in_background=exec coord -q -o busy --epochs 100000 --spawn 1 --json >busy.json 2>busy.log & local c=$!
  until_true 10 grep -q first_step busy.json || return 1
  exits 75 coord -q -o busy --epochs 100000 --spawn 1 || return 1
  dl-coord --status busy >status.txt || return 1
  grep -q step status.txt || { cat status.txt; return 1; }
  dl-coord --stop busy || return 1
  local code=0
  wait $c || code=$?
  [ $code = 143 ] || { echo "  the stopped one ended with $code"; return 1; }
  test -e busy/latest
}
fact "a second copy exits 75; --status shows, --stop stops" twice

early() {
  coord -o early --epochs 5000 --patience 3 --spawn 2 --json >early.json 2>early.log || return 1
  [ "$(field epochs early.json)" -lt 5000 ] && test -f early/best.safetensors
}
fact "early stopping ends the run and leaves a best checkpoint" early
fact "the best checkpoint can be judged" dl-eval early/best.safetensors --data shards --json

fact "a reader that leaves early ends the predictions quietly" \
  sh -c 'zcat "$1" | dl-eval hand --data - --predict 2>err.txt | head -n 1 >one.txt; test "$(wc -l <one.txt)" = 1 && ! test -s err.txt' - "$digits"
fact "one prediction for each row" same "$(zcat "$digits" | dl-eval hand --data - --predict | wc -l)" 1797
fact "--fail-under answers no with 1" exits 1 dl-eval -q hand --data shards --fail-under 0.9999
fact "--fail-under answers yes with 0" exits 0 dl-eval -q hand --data shards --fail-under 0.5
finish
