#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# dl-coord from the outside, with real nodes: what it prints, leaves and refuses, and that a run gives
# the same parameters whatever happens to it.
# usage: dl-coord.sh DL_COORD DL_NODE DL_SHARD SOURCE_ROOT
set -u
coord=$(realpath "$1") node=$(realpath "$2") shard=$(realpath "$3") root=$(realpath "$4")
PATH=$(dirname "$node"):$PATH
dir=$(mktemp -d) || exit 70
trap 'jobs -p | xargs -r kill -9 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir" || exit 70
minute=$((60 * ${DL_PATIENCE:-1}))  # under a sanitizer everything is slower
bad=0
complain() { echo "$*"; bad=1; }
# gives CODE PATTERN ARGUMENT...: dl-coord exits with CODE, prints nothing on standard output, and its
# last line on standard error matches PATTERN
gives() {
  local code=$1 pattern=$2 got
  shift 2
  timeout -s KILL $minute "$coord" "$@" >out 2>err
  got=$?
  [ $got = "$code" ] || complain "$* gave $got, not $code: $(tail -3 err)"
  [ ! -s out ] || complain "$* printed: $(head -3 out)"
  tail -1 err | grep -qF -- "$pattern" || complain "$* said: $(cat err)"
}
value() { grep "\"event\":\"$1\"" "$3" | tail -1 | grep -o "\"$2\":[^,}]*" | cut -d: -f2- | tr -d '"'; }
# until COMMAND...: waits until it succeeds, for at most a minute
until_true() {
  local end=$((SECONDS + minute))
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { complain "waited in vain for: $*"; return 1; }
    read -r -t 0.02 <> <(:)
  done
}

"$shard" -q -o m "$root/share/datasets/digits.csv.gz" >shards.out || complain "no shards"
run=(--data m --model 'dense 32 relu' --optimizer momentum --batch 64 --steps 3000 --checkpoint-every 250)

# Nothing starts, nothing is left behind
gives 64 '--data is missing' --model 'dense 8' -o r
gives 64 "--batch: '0' is not" --data m --model 'dense 8' -o r --batch 0
gives 64 "--lr: 'nan' is not" --data m --model 'dense 8' -o r --lr nan
gives 64 "--local-steps says nothing in --mode sync" --data m --model 'dense 8' -o r --local-steps 4
gives 64 "--mode: 'gossip' is not one of sync" --data m --model 'dense 8' -o r --mode gossip
gives 64 '--epochs and --steps' --data m --model 'dense 8' -o r --epochs 1 --steps 1
gives 64 '--patience needs a validation part' --data m --model 'dense 8' -o r --patience 3
gives 64 '--output needs a value' --data m --model 'dense 8' -o --json
gives 66 'nowhere' --data nowhere --model 'dense 8' -o r
gives 65 '1:7' --data m --model 'dense many' -o r
gives 66 'no such run' --status r
gives 66 'no run' --stop r
[ ! -e r ] || complain "a refused start left a run behind"
gives 69 'waited 0.2 s for nodes: 0 of 1 are ready' "${run[@]}" -o nobody --wait 200ms

# One node, two nodes, three nodes with shards in turn: the same bits
for n in 1 2 3; do
  assign=balanced; [ $n = 3 ] && assign=round-robin
  timeout -s KILL $minute "$coord" "${run[@]}" -o run$n --spawn $n --assign $assign --json >json$n 2>err ||
    complain "--spawn $n: $(cat err)"
done
sha=$(value done params_sha256 json1)
[ ${#sha} = 64 ] || complain "no digest: $(tail -1 json1)"
for n in 2 3; do [ "$(value done params_sha256 json$n)" = "$sha" ] || complain "--spawn $n has other bits"; done
keys=$(tail -1 json1 | grep -o '"[a-z_0-9]*":' | tr -d '":' | tr '\n' ' ')
[ "$keys" = "event epochs steps samples seconds samples_per_second train_loss test_accuracy params_sha256 checkpoint " ] ||
  complain "done has $keys"
for event in joined first_step epoch checkpoint; do
  grep -q "\"event\":\"$event\"" json2 || complain "no event $event"
  grep -q "\"event\":\"$event\"" run2/metrics.jsonl || complain "no $event in metrics.jsonl"
done
[ -f "$(value done checkpoint json1)" ] || complain "no checkpoint"
[ "$(ls run1/step-*.safetensors | wc -l)" = 3 ] || complain "not 3 checkpoints: $(ls run1)"

# Complete: the same line again; other options: both values
"$coord" "${run[@]}" -o run1 --spawn 1 --json >again 2>err || complain "a complete run gave $?"
[ "$(cat again)" = "$(tail -1 json1)" ] || complain "done again is another: $(cat again)"
"$coord" "${run[@]}" -o run1 --spawn 1 -q | grep -q "^params sha256  $sha$" || complain "no table"
gives 76 "--seed was '1' when the run began, and is '2' now" "${run[@]}" -o run1 --seed 2
"$coord" --status run1 | grep -q '^state *complete$' || complain "--status: $("$coord" --status run1)"

# Stopped by a signal in its middle, twice at once, gone on with other numbers of nodes
"$coord" "${run[@]}" -o stopped --spawn 2 --dead-after 60s --json >json.stopped 2>run.err &
pid=$!
until_true grep -q '"event":"first_step"' json.stopped
# It shall not be done before we are.
nodes=$(grep '"event":"joined"' json.stopped | grep -o '"pid":[0-9]*' | cut -d: -f2)
kill -STOP $nodes
gives 75 "(pid $pid) runs this run" "${run[@]}" -o stopped --spawn 2
"$coord" --status stopped --json | grep -q "\"pid\":$pid" || complain "--status while it runs"
gives 73 'cannot listen' "${run[@]}" -o other --listen "$(cat stopped/address)"
# Junk on the port harms nobody
(head -c 5000 /dev/urandom >"/dev/tcp/127.0.0.1/$(cut -d: -f2 stopped/address)") 2>/dev/null
kill -TERM $pid
kill -CONT $nodes
wait $pid; code=$?
[ $code = 143 ] || complain "SIGTERM gave $code: $(cat run.err)"
[ -z "$(value done steps json.stopped)" ] || complain "stopped, and done"
timeout -s KILL $minute "$coord" "${run[@]}" -o stopped --spawn 3 --json >json.on 2>err || complain "going on: $(cat err)"
[ "$(value done params_sha256 json.on)" = "$sha" ] || complain "stopped and gone on: other bits"

# A node is killed: it is named, another one takes its place; then everything is killed
"$coord" "${run[@]}" -o killed --spawn 2 --json >json.killed 2>run.err &
pid=$!
until_true grep -q '"event":"first_step"' json.killed
victim=$(value joined pid json.killed)
kill -9 "$victim"
until_true grep -qE '"event":"(lost|done)"' json.killed
[ "$(value lost pid json.killed)" = "$victim" ] || complain "lost: $(grep lost json.killed)"
until_true grep -qE '"pid":'"$(value lost pid json.killed)"'.*|"event":"done"' json.killed
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
timeout -s KILL $minute "$coord" "${run[@]}" -o killed --spawn 1 --json >json.on 2>err || complain "after kill -9: $(cat err)"
[ "$(value done params_sha256 json.on)" = "$sha" ] || complain "killed and gone on: other bits"

# Over all starts of a run, the generation only grows
for name in stopped killed; do
  grep '"event":"group"' $name/metrics.jsonl | grep -o '"generation":[0-9]*' | cut -d: -f2 >generations
  [ "$(wc -l <generations)" -ge 2 ] || complain "$name: no two groups"
  sort -n -u -C generations || complain "$name: generations $(tr '\n' ' ' <generations)"
done

# Nodes by hand, one of them before its coordinator; --stop from outside; then on to the end
"$coord" "${run[@]}" -o hand --nodes 2 --json >json.hand 2>run.err &
pid=$!
until_true test -s hand/address
address=$(cat hand/address)
export DL_KEY_FILE=hand/key
"$node" -q --coord "$address" &
first=$!
"$node" -q --coord "$address" --threads 2 --kernel scalar &
second=$!
wait $pid || complain "nodes by hand: $(cat run.err)"
wait $first || complain "the first node gave $?"
wait $second || complain "the second node gave $?"
[ "$(value done params_sha256 json.hand)" = "$sha" ] || complain "nodes by hand: other bits"
"$node" -q --coord "$address" --wait 100ms 2>err
[ $? = 69 ] || complain "a node without a coordinator"

"$coord" --data m --model 'dense 8' -o endless --epochs 1000000 --spawn 1 --json >json.endless 2>run.err &
pid=$!
until_true grep -q '"event":"first_step"' json.endless
"$coord" -q --stop endless || complain "--stop gave $?"
wait $pid; code=$?
[ $code = 143 ] || complain "a run that was stopped gave $code"
[ -e endless/latest ] || complain "a run that was stopped left no checkpoint"

exit $bad
