#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A run that begins with the parameters of another.
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 70

dl-shard -q -n 6 -o shards "$digits" >/dev/null || exit 70
in_background=
coord() {  # in the background, $! is dl-coord itself
  $in_background dl-coord -q --data shards --model 'dense 24 relu' --batch 64 "$@"
}
train() {  # train NAME OPTION...: prints the digest of the run's parameters
  local name=$1
  shift
  coord -o "$name" --json "$@" >"$name.json" 2>"$name.log" || { cat "$name.log" >&2; return 1; }
  field params_sha256 "$name.json"
}
judged() { dl-eval -q --json "$1" | sed 's/.*"loss":\([0-9.]*\),.*/\1/'; }

old=$(train old --optimizer momentum --epochs 3 --spawn 1)
fact "the old run ends" test ${#old} = 64
# A rate too small to change any float shows what the run began with.
same_start() { same "$(train "still$1" --init old --steps 1 --lr 1e-30 --spawn "$1")" "$old"; }
fact "it begins with the old parameters" same_start 1
fact "on two nodes too" same_start 2
fact "and is judged as the old one was" same "$(judged still1)" "$(judged old)"

wanted=$(train one --init old --optimizer momentum --epochs 2 --seed 5 --spawn 1)
fact "it trains on" test ${#wanted} = 64
fact "to other parameters than without" test "$wanted" != "$(train none --optimizer momentum --epochs 2 --seed 5 --spawn 1)"
fact "a file does as well as a run; two nodes: the same bits" \
  same "$(train two --init "old/$(readlink old/latest)" --optimizer momentum --epochs 2 --seed 5 --spawn 2)" "$wanted"

# Stopped before its first checkpoint and after it; then the old one goes.
long="--init old --optimizer momentum --epochs 1000 --seed 5 --checkpoint-every 2000"
undisturbed=$(train undisturbed $long --spawn 1)
begun() {
  in_background=exec coord -o stopped --json $long "$@" >stopped.part 2>stopped.log & local c=$!
  until_true 20 grep -q "\"$word\"" stopped.part || { cat stopped.log; return 1; }
  kill -9 $c
  wait $c 2>/dev/null
  return 0
}
word=group fact "killed as soon as it has begun" begun --spawn 2
rm -rf stopped
word=checkpoint fact "killed after a checkpoint" begun --spawn 2
mv old gone
fact "the old run may be gone then: the same bits" same "$(train stopped $long --spawn 1)" "$undisturbed"
mkdir early
early() { exits 66 coord -o early --init old --optimizer momentum --epochs 2 --seed 5 --spawn 1 2>early.log && grep -q "^dl-coord: old.*early has no checkpoint" early.log; }
python3 - early/run.json two/run.json <<'PY'
import json, sys
run = json.load(open(sys.argv[2]))
del run["done"], run["done_total"], run["ledger"]
json.dump(run, open(sys.argv[1], "w"))
PY
fact "but not before: 66" early
mv gone old

refused() {  # refused CODE WORDS OPTION...
  local code=$1 words=$2
  shift 2
  exits "$code" dl-coord -q --batch 64 "$@" 2>refused.log && grep -qF -- "$words" refused.log ||
    { cat refused.log; return 1; }
}
m=(--data shards --model 'dense 24 relu')
fact "other parameters at a restart are 76" \
  refused 76 "--init was '${old::60}...' when the run began, and is '${wanted::60}...' now" "${m[@]}" -o two --init one --optimizer momentum --epochs 2 --seed 5
fact "none at a restart is 76" refused 76 "and is 'none' now" "${m[@]}" -o two --optimizer momentum --epochs 2 --seed 5
fact "another model is 76" refused 76 "'dense 24 relu' there, and 'dense 25 relu' here" --data shards --model 'dense 25 relu' -o new --init old
dl-shard -q -n 2 --scale minmax -o other "$digits" >/dev/null
fact "another scaling is 76 with both values" refused 76 "scale is '" --data other --model 'dense 24 relu' -o new --init old
fact "no such run is 66" refused 66 "nowhere" "${m[@]}" -o new --init nowhere
fact "a refused start leaves nothing" test ! -e new
finish
