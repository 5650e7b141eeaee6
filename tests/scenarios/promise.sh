#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The promise: parameters depend on the shards, never on the machines.
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 70

dl-shard -q -n 8 --test 0.2 --seed 3 -o shards "$digits" >/dev/null || exit 70
model='dense 48 relu; dense 24 tanh'
options="--batch 96 --optimizer momentum --lr 0.05"

# train NAME OPTION...: prints the digest of the run's parameters
train() {
  local name=$1
  shift
  case "$*" in *--epochs*) ;; *) set -- "$@" --epochs 6 ;; esac
  dl-coord -q --data shards --model "$model" $options -o "$name" --json "$@" >"$name.json" 2>"$name.log" ||
    { cat "$name.log" >&2; return 1; }
  field params_sha256 "$name.json"
}

wanted=$(train alone --spawn 1)
fact "one node trains and names its parameters" test ${#wanted} = 64
for nodes in 2 3 4; do
  fact "$nodes nodes: the same bits" same "$(train "n$nodes" --spawn $nodes)" "$wanted"
done
fact "three nodes, told to use TCP: the same bits" same "$(train tcp --spawn 3 --transport tcp)" "$wanted"
for collective in direct doubling tree auto; do
  for nodes in 2 3 4; do
    fact "$nodes nodes over TCP, --collective $collective: the same bits" \
      same "$(train "$collective$nodes" --spawn $nodes --transport tcp --collective $collective)" "$wanted"
  done
done
said() {  # said NODES: how often dl-coord says that sums cannot go by doubling
  dl-coord --data shards --model "$model" $options --epochs 1 -o "said$1" --spawn "$1" --collective doubling \
    2>&1 >/dev/null | grep -c 'sums over TCP go direct'
}
fact "doubling cannot be on three nodes, which is said once" same "$(said 3)" 1
fact "it can on four, and nothing is said" same "$(said 4)" 0
changed() {
  train changed --spawn 2 --transport tcp --collective doubling --epochs 3 >/dev/null &&
    train changed --spawn 3 --transport tcp --collective tree
}
fact "another collective in the middle of a run: the same bits" same "$(changed)" "$wanted"
fact "two threads: the same bits" same "$(train t2 --spawn 1 --threads 2)" "$wanted"
fact "three nodes of two threads, balanced: the same bits" \
  same "$(train t2n3 --spawn 3 --threads 2 --assign balanced)" "$wanted"
fact "round-robin: the same bits" same "$(train rr --spawn 3 --assign round-robin)" "$wanted"

# Kernels mixed, nodes started by hand in a random order, some before the coordinator.
kernels=scalar
for kernel in avx2 avx512; do
  grep -q "${kernel/avx512/avx512f}" /proc/cpuinfo && kernels="$kernels $kernel"
done
mixed() {
  rm -rf mixed && mkdir mixed
  dl-coord -q --data shards --model "$model" $options --epochs 6 -o mixed --json --listen 127.0.0.1:0 --nodes 3 \
    >mixed.json 2>mixed.log &
  local coord=$!
  until_true 10 test -s mixed/address || return 1
  local address kernel n=0 nodes=""
  address=$(cat mixed/address)
  export DL_KEY_FILE=mixed/key
  for kernel in $(shuf -e $kernels $kernels $kernels -n 3); do
    dl-node -q --coord "$address" --kernel $kernel --threads $((1 + n % 2)) 2>>mixed.nodes.log &
    nodes="$nodes $!"
    n=$((n + 1))
  done
  wait $coord || { cat mixed.log mixed.nodes.log; return 1; }
  wait $nodes
  field params_sha256 mixed.json
}
fact "kernels mixed ($kernels), nodes by hand in random order: the same bits" same "$(mixed)" "$wanted"

# The same run, three times: undisturbed, stopped by SIGTERM and started again, and killed.
long="--epochs 2000 --checkpoint-every 50"
undisturbed=$(train undisturbed --spawn 1 $long)

begin() {  # begin NAME OPTION...: in the background, with its process group's number in $coord
  local name=$1
  shift
  setsid dl-coord -q --data shards --model "$model" $options -o "$name" --json $long "$@" \
    >"$name.part.json" 2>"$name.log" &
  coord=$!
  # On a busy machine it may be complete before we look.
  until_true 20 grep -qE '"event": *"(checkpoint|done)"' "$name.part.json" || { cat "$name.log"; return 1; }
}

stopped() {
  begin stopped --spawn 2 || return 1
  kill -TERM $coord
  local code=0
  wait $coord || code=$?
  [ $code = 143 ] || { echo "  exit $code after SIGTERM"; cat stopped.log; return 1; }
}
fact "SIGTERM: a checkpoint and exit 143" stopped
fact "stopped and started again on three nodes: the same bits" \
  same "$(train stopped --spawn 3 $long)" "$undisturbed"

killed() {
  local round
  for round in 1 2 3; do
    begin killed --spawn $round || return 1
    kill -9 -- -$coord
    wait $coord 2>/dev/null
  done
  return 0
}
fact "kill -9 of everything, three times" killed
fact "killed and started again: the same bits" same "$(train killed --spawn 2 $long)" "$undisturbed"
finish
