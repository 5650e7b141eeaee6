#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# All-reduce between hosts with limited links, all of them on this machine: needs root, ip and tc.
#
#   links.sh BUILD [RATE=100mbit [NODES=2 [PIECE_KIB=0 [COLLECTIVE=direct]]]]
#
# The hosts are network namespaces dlbench0.. on one switch, each with a link of RATE in both directions.
# Compare the bus bandwidth that allreduce-bench prints with RATE / 8.
set -euo pipefail
build=$1 rate=${2:-100mbit} nodes=${3:-2} piece=${4:-0} collective=${5:-direct}
name=dlbench

down() {
  for i in $(seq 0 $((nodes - 1))); do ip netns del "$name$i" 2>/dev/null || true; done
  ip netns del "${name}sw" 2>/dev/null || true
}
trap down EXIT
down
ip netns add "${name}sw"
ip -n "${name}sw" link add br0 type bridge
ip -n "${name}sw" link set br0 up
for i in $(seq 0 $((nodes - 1))); do
  ip netns add "$name$i"
  ip -n "${name}sw" link add "port$i" type veth peer name eth0 netns "$name$i"
  ip -n "$name$i" link set lo up
  ip -n "$name$i" addr add "10.79.0.$((i + 1))/24" dev eth0
  ip -n "$name$i" link set eth0 up
  ip -n "${name}sw" link set "port$i" master br0
  ip -n "${name}sw" link set "port$i" up
  tc -n "$name$i" qdisc add dev eth0 root tbf rate "$rate" burst 64k latency 50ms
  tc -n "${name}sw" qdisc add dev "port$i" root tbf rate "$rate" burst 64k latency 50ms
done
echo "$nodes hosts, links of $rate"
"$build/tests/bench/allreduce-bench" "$nodes" "tcp:$collective" free "$piece" 0 "$name"
