#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Every mode trains the digits with any number of nodes; those that promise equal bits have them, also when
# a node is killed in between.
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 70

dl-shard -q -n 8 --test 0.2 --seed 3 -o shards "$digits" >/dev/null || exit 70
model='dense 48 relu; dense 24 tanh'
options="--batch 96 --optimizer momentum --lr 0.05 --clip 2"

# train NAME OPTION...: the run's done line in NAME.json
train() {
  local name=$1
  shift
  case "$*" in *--epochs*) ;; *) set -- "$@" --epochs 20 ;; esac
  dl-coord -q --data shards --model "$model" $options -o "$name" --json "$@" >"$name.json" 2>"$name.log" ||
    { cat "$name.log" >&2; return 1; }
}
at_least() { awk -v got="$(field test_accuracy "$1.json")" -v least="$2" 'BEGIN { exit !(got >= least) }'; }

# MODE | OPTIONS | LEAST ACCURACY | the bits of this run; empty: only those of its own on other nodes
table="
local | --mode local --local-steps 4 | 0.92 |
local-outer | --mode local --local-steps 8 --outer-lr 0.7 --outer-momentum 0.5 | 0.92 |
pipeline | --mode pipeline | 0.94 | sync
pipeline-2 | --mode pipeline --stages 2 | 0.94 | sync
tensor | --mode tensor | 0.94 |
tensor-3 | --mode tensor --blocks 3 --assign random | 0.94 |
"

fact "sync: one node trains" train sync --spawn 1
fact "sync: at least 0.94" at_least sync 0.94
while IFS='|' read -r mode more least like; do
  mode=$(echo $mode) like=$(echo $like)
  [ -n "$mode" ] || continue
  for nodes in 1 2 3 4; do
    fact "$mode, $nodes nodes: trains" train "$mode-n$nodes" --spawn $nodes $more
    fact "$mode, $nodes nodes: at least$least" at_least "$mode-n$nodes" $least
    fact "$mode, $nodes nodes: the same bits" same "$(field params_sha256 "$mode-n$nodes.json")" \
      "$(field params_sha256 "${like:-$mode-n1}.json")"
  done
done <<<"$table"

# killed MODE EPOCHS OPTION...: one of three nodes is killed after a checkpoint; another takes its place
killed() {
  local mode=$1 epochs=$2 coord
  shift 2
  setsid dl-coord -q --data shards --model "$model" $options -o "$mode-killed" --json --epochs $epochs \
    --checkpoint-every 20 --spawn 3 "$@" >"$mode-killed.json" 2>"$mode-killed.log" &
  coord=$!
  until_true 20 grep -qE '"event": *"(checkpoint|done)"' "$mode-killed.json" || { cat "$mode-killed.log"; return 1; }
  pkill -9 -P $coord -n dl-node || return 1
  wait $coord || { cat "$mode-killed.log"; return 1; }
  grep -qE '"event": *"lost"' "$mode-killed.json"
}
fact "sync: undisturbed" train undisturbed --spawn 1 --epochs 500
fact "pipeline: a node is killed, and the run ends" killed pipeline 500 --mode pipeline
fact "pipeline: the same bits" same "$(field params_sha256 pipeline-killed.json)" "$(field params_sha256 undisturbed.json)"

fact "local: undisturbed" train undisturbed-local --spawn 1 --epochs 1500 --checkpoint-every 20 --mode local
fact "local: a node is killed, and the run ends" killed local 1500 --mode local
fact "local: the same bits" same "$(field params_sha256 local-killed.json)" "$(field params_sha256 undisturbed-local.json)"

fact "tensor: undisturbed" train undisturbed-tensor --spawn 1 --epochs 400 --mode tensor
fact "tensor: a node is killed, and the run ends" killed tensor 400 --mode tensor
fact "tensor: the same bits" same "$(field params_sha256 tensor-killed.json)" "$(field params_sha256 undisturbed-tensor.json)"

# resumed: 7 epochs on three nodes, the rest on two
resumed() { train tensor-half --spawn 3 --epochs 7 --mode tensor && train tensor-half --spawn 2 --epochs 20 --mode tensor; }
fact "tensor: gone on with on other nodes" resumed
fact "tensor: is never stopped" same "$(field params_sha256 tensor-half.json)" "$(field params_sha256 tensor-n1.json)"
fact "tensor: other blocks are another run: 76" exits 76 dl-coord -q --data shards --model "$model" $options \
  -o tensor-half --epochs 20 --spawn 2 --mode tensor --blocks 4

fact "more stages than layers: 64" exits 64 dl-coord -q --data shards --model "$model" -o bad --mode pipeline --stages 4
fact "compression in a pipeline: 64" exits 64 dl-coord -q --data shards --model "$model" -o bad --mode pipeline --compress int8
fact "adaptive in a pipeline: 64" exits 64 dl-coord -q --data shards --model "$model" -o bad --mode pipeline --assign adaptive
fact "tensor without a pair: 64" exits 64 dl-coord -q --data shards --model '# the head alone' -o bad --mode tensor
fact "more blocks than units: 64" exits 64 dl-coord -q --data shards --model "$model" -o bad --mode tensor --blocks 49
fact "no blocks: 64" exits 64 dl-coord -q --data shards --model "$model" -o bad --mode tensor --blocks 0
fact "compression in mode tensor: 64" exits 64 dl-coord -q --data shards --model "$model" -o bad --mode tensor --compress int8
fact "adaptive in mode tensor: 64" exits 64 dl-coord -q --data shards --model "$model" -o bad --mode tensor --assign adaptive
fact "blocks of another mode: 64" exits 64 dl-coord -q --data shards --model "$model" -o bad --blocks 2
fact "stages of another mode: 64" exits 64 dl-coord -q --data shards --model "$model" -o bad --stages 2
finish
