#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What TLS costs a step: two nodes that train 784-512-512-10 over TCP, with TLS and with --insecure, in turn.
#
#   tls.sh BUILD IDX_DIR [RATE=1gbit [ROUNDS=7 [STEPS=160 [BATCHES="256 1024"]]]]
#
# With a RATE, as tc(8) takes it, each node is a host: a network namespace, with a link of that rate between them
# (needs root, ip and tc). RATE none is the loopback, which has no limit. Each node has a processor of its own, 0 or 1.
# Printed are medians over the rounds: ms a step while training, and the ratio pair by pair, TLS to plain; who begins
# a pair changes from one to the next.
set -u
. "$(dirname "$0")/two_hosts.sh"
build=$(cd "$1" && pwd) && data=$(cd "$2" && pwd) || exit 66
rate=${3:-1gbit} rounds=${4:-7} steps=${5:-160} batches=${6:-256 1024}
for tool in dl-shard dl-coord dl-node; do PATH=$build/tools/$tool:$PATH; done
export PATH
unset DL_KEY_FILE
name=dltls$$ listen=127.0.0.1
scratch=$(mktemp -d)
down() {
  kill $(jobs -p) 2>/dev/null
  wait
  no_hosts "$name"
  rm -rf "$scratch"
}
trap down EXIT
trap 'exit 130' INT TERM
if [ "$rate" != none ]; then
  listen=10.78.0.1
  two_hosts "$name" "$rate" 256k
fi
on() {  # on HOST COMMAND...
  local host=$1
  shift
  if [ "$rate" = none ]; then exec "$@"; else exec ip netns exec "$name$host" "$@"; fi
}
cd "$scratch" || exit 70
dl-shard -q --format idx --labels "$data/t10k-labels-idx1-ubyte.gz" -n 8 --test 0.2 --scale minmax -o shards \
  "$data/t10k-images-idx3-ubyte.gz" >/dev/null || exit 70

# run BATCH [--insecure]: prints ms a step
run() {
  local batch=$1 coord hosts=(a b) node
  shift
  rm -rf run
  (on a dl-coord -q --data shards --model 'dense 512 relu; dense 512 relu' -o run --nodes 2 --listen $listen:0 \
    --steps "$steps" --checkpoint-every 1000000 --batch "$batch" --optimizer momentum --lr 0.05 --json "$@" \
    >run.json 2>run.log) &
  coord=$!
  for ((node = 0; node < 500; ++node)); do
    [ -s run/address ] && break
    sleep 0.02
  done
  local credentials=(--key run/key)
  [ $# = 0 ] || credentials=("$@")
  for node in 0 1; do
    (on ${hosts[node]} taskset -c $node dl-node -q "${credentials[@]}" --coord "$(cat run/address)" --transport tcp 2>>run.log) &
  done
  wait $coord || { cat run.log >&2; return 1; }
  wait
  tail -n 1 run.json | sed 's/.*"seconds": *\([0-9.e-]*\).*/\1/' | awk -v steps="$steps" '{ print $1 / steps * 1e3 }'
}
median() { sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

[ "$rate" = none ] && over='over the loopback' || over="over a link of $rate"
for batch in $batches; do
  rm -f tls plain
  for ((round = 0; round < rounds; ++round)); do
    if [ $((round % 2)) = 0 ]; then
      run $batch >>tls && run $batch --insecure >>plain || exit 70
    else
      run $batch --insecure >>plain && run $batch >>tls || exit 70
    fi
  done
  paste tls plain | awk '{ print $1 / $2 }' >ratios
  printf '784-512-512-10, batch %s, two nodes %s: TLS %.2f ms a step, plain %.2f, TLS to plain %.3f (%s)\n' "$batch" \
    "$over" "$(median <tls)" "$(median <plain)" "$(median <ratios)" \
    "$(sort -g ratios | awk 'NR == 1 { low = $1 } { high = $1 } END { printf "%.3f to %.3f of %d", low, high, NR }')"
done
