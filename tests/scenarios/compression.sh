#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Sums that travel compressed: they train, and the bits still depend on the shards (and their groups) alone.
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 70

dl-shard -q -n 8 --test 0.2 --seed 3 -o shards "$digits" >/dev/null || exit 70
coord() {
  dl-coord -q --data shards --model 'dense 64 relu; dense 32 relu' --batch 96 --optimizer momentum --lr 0.05 \
    --json "$@"
}

# train NAME OPTION...: prints the digest of the run's parameters
train() {
  local name=$1
  shift
  coord -o "$name" "$@" >"$name.json" 2>"$name.log" || { cat "$name.log" >&2; return 1; }
  field params_sha256 "$name.json"
}
accurate() {
  local accuracy
  accuracy=$(field test_accuracy "$1")
  awk "BEGIN { exit !($accuracy >= 0.92) }" || { echo "  $accuracy"; return 1; }
}

stopped() {  # stopped NAME COMPRESSION SIGNAL [-]: after a checkpoint, with two nodes; -: all processes at once
  setsid dl-coord -q --data shards --model 'dense 64 relu; dense 32 relu' --batch 96 --optimizer momentum --lr 0.05 \
    --json -o "$1" --compress "$2" $long --spawn 2 >"$1.part.json" 2>"$1.log" &
  local coord=$! code=0
  until_true 20 grep -qE '"event": *"(checkpoint|done)"' "$1.part.json" || { cat "$1.log"; return 1; }
  kill -"$3" -- "${4:-}$coord"
  wait $coord 2>/dev/null || code=$?
  [ "$3" = KILL ] || [ $code = 143 ] || [ $code = 0 ] || { echo "  exit $code"; cat "$1.log"; return 1; }
}

lost() {  # lost NAME COMPRESSION: one of three nodes is killed in the middle
  dl-coord -q --data shards --model 'dense 64 relu; dense 32 relu' --batch 96 --optimizer momentum --lr 0.05 \
    --json -o "$1" --compress "$2" $long --spawn 3 >"$1.json" 2>"$1.log" &
  local c=$!
  until_true 20 grep -qE '"event": *"checkpoint"' "$1.json" || { cat "$1.log"; return 1; }
  pkill -9 -P $c -n dl-node || return 1
  wait $c || { cat "$1.log"; return 1; }
  grep -q '"event": *"lost"' "$1.json" || { echo "  nobody was lost"; return 1; }
  same "$(field params_sha256 "$1.json")" "$3"
}

plain=$(train plain --spawn 1 --epochs 12)
for how in bf16 int8 topk=0.02 powersgd=2; do
  name=${how%=*}
  wanted=$(train "$name" --compress $how --spawn 1 --epochs 12)
  fact "$how trains the digits" accurate "$name.json"
  fact "$how is no other name for none" test "$wanted" != "$plain"
  for nodes in 2 3 4; do
    fact "$how, $nodes nodes: the same bits" \
      same "$(train "$name$nodes" --compress $how --spawn $nodes --epochs 12)" "$wanted"
  done
  long="--epochs 400 --checkpoint-every 40"
  undisturbed=$(train "$name-calm" --compress $how --spawn 1 $long)
  fact "$how: SIGTERM" stopped "$name-stopped" $how TERM
  fact "$how: stopped and started again on three nodes: the same bits" \
    same "$(train "$name-stopped" --compress $how --spawn 3 $long)" "$undisturbed"
  fact "$how: kill -9 of everything" stopped "$name-killed" $how KILL -
  fact "$how: killed and started again: the same bits" \
    same "$(train "$name-killed" --compress $how --spawn 2 $long)" "$undisturbed"
  fact "$how: one of three nodes killed: back to the checkpoint, and the same bits" lost "$name-lost" $how "$undisturbed"
done

for how in bf16 int8 topk=0.1 powersgd=2; do
  name=local-${how%=*} local="--mode local --local-steps 4 --compress $how"
  wanted=$(train "$name" $local --spawn 1 --epochs 20)
  fact "local, $how trains the digits" accurate "$name.json"
  for nodes in 2 3 4; do
    fact "local, $how, $nodes nodes: the same bits" same "$(train "$name$nodes" $local --spawn $nodes --epochs 20)" "$wanted"
  done
done
long="--epochs 600 --checkpoint-every 30 --mode local --outer-momentum 0.5"
undisturbed=$(train local-calm --compress int8 --spawn 1 $long)
fact "local, int8: SIGTERM" stopped local-stopped int8 TERM
fact "local, int8: stopped and started again on three nodes: the same bits" \
  same "$(train local-stopped --compress int8 --spawn 3 $long)" "$undisturbed"
fact "local, int8: one of three nodes killed: back to the checkpoint, and the same bits" lost local-lost int8 "$undisturbed"

tcp=$(train int8-tcp --compress int8 --spawn 3 --transport tcp --epochs 12)
fact "int8 over TCP: the same bits" same "$tcp" "$(field params_sha256 int8.json)"
fact "another number of groups is another result" \
  test "$(train int8-two --compress int8 --groups 2 --spawn 2 --epochs 12)" != "$tcp"

refused() {  # refused CODE TEXT RUN OPTION...
  local code=$1 text=$2 run=$3
  shift 3
  exits "$code" coord -o "$run" "$@" >/dev/null 2>refused.log && grep -q -- "$text" refused.log &&
    [ "$(wc -l <refused.log)" = 1 ] || { cat refused.log; return 1; }
}
fact "an unknown compression is refused" refused 64 'gzip' new --compress gzip
fact "a ratio of 0 is refused" refused 64 'topk=0' new --compress topk=0
fact "a ratio above 1 is refused" refused 64 'topk=1.5' new --compress topk=1.5
fact "a rank at which no layer is smaller is refused" refused 64 'rank' new --compress powersgd=60
fact "no groups are refused" refused 64 'groups' new --compress int8 --groups 0
fact "another compression than the run's is 76" refused 76 'compress' int8 --compress bf16 --epochs 14
finish
