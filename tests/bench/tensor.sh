#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Mode tensor on two hosts with a link of RATE between them, beside one node of the same build: a wide hidden
# layer on 28x28 images. Needs root, ip and tc.
#
#   tensor.sh BUILD IDX_DIR [RATE=100mbit [BATCH=256 [ROUNDS=5 [UNITS=2048 [STEPS=64]]]]]
#
# The hosts are network namespaces, and each node has a processor of its own, 0 or 1. Runs take turns; printed are
# medians over the rounds: ms a step while training, and the ratio to one node, pair by pair.
set -u
. "$(dirname "$0")/two_hosts.sh"
build=$(cd "$1" && pwd) data=$(cd "$2" && pwd)
rate=${3:-100mbit} batch=${4:-256} rounds=${5:-5} units=${6:-2048} steps=${7:-64}
for tool in dl-shard dl-coord dl-node; do PATH=$build/tools/$tool:$PATH; done
export PATH
name=dltens$$
scratch=$(mktemp -d)
down() {
  kill $(jobs -p) 2>/dev/null
  wait
  no_hosts $name
  rm -rf "$scratch"
}
trap down EXIT
two_hosts $name "$rate" 64k
cd "$scratch" || exit 70
dl-shard -q --format idx --labels "$data/t10k-labels-idx1-ubyte.gz" -n 8 --test 0.2 --scale minmax -o shards \
  "$data/t10k-images-idx3-ubyte.gz" >/dev/null || exit 70

# run NODES OPTION...: prints ms a step
run() {
  local nodes=$1 node host coord
  shift
  rm -rf run
  ip netns exec ${name}a taskset -c 0,1 dl-coord -q --data shards --model "dense $units relu" -o run --nodes "$nodes" \
    --listen 10.78.0.1:0 --steps "$steps" --checkpoint-every 1000000 --batch "$batch" --optimizer momentum --lr 0.05 \
    --json "$@" >run.json 2>run.log &
  coord=$!
  until [ -s run/address ] || ! kill -0 $coord 2>/dev/null; do sleep 0.02; done
  for ((node = 0; node < nodes; ++node)); do
    host=${name}a
    [ $node = 0 ] || host=${name}b
    ip netns exec $host taskset -c $node dl-node -q --key run/key --coord "$(cat run/address)" 2>>run.log &
  done
  wait $coord || { cat run.log >&2; exit 70; }
  wait
  tail -1 run.json | sed 's/.*"seconds":\([0-9.e-]*\).*/\1/' | awk -v steps="$steps" '{ print $1 / steps * 1e3 }'
}
median() { sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

for ((round = 0; round < rounds; ++round)); do
  run 1 >>one
  run 2 --mode tensor >>two
  run 1 --mode tensor >>alone
done
paste one two | awk '{ print $1 / $2 }' >ratios
paste one alone | awk '{ print $1 / $2 }' >alone_ratios
printf '784-%s-10, batch %s, link of %s: one node %.2f ms a step; two nodes in mode tensor %.2f ms, %.2f of one node (%s); one node in mode tensor %.2f\n' \
  "$units" "$batch" "$rate" "$(median <one)" "$(median <two)" "$(median <ratios)" \
  "$(sort -g ratios | awk 'NR == 1 { low = $1 } { high = $1 } END { printf "%.2f to %.2f", low, high }')" \
  "$(median <alone_ratios)"
