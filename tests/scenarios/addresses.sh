#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Where nodes take each other in: at loopback alone where a run is on one machine, by IPv4 and IPv6; everywhere where one
# of them comes from elsewhere.
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 70

dl-shard -q -n 4 -o shards "$digits" >/dev/null || exit 70
steps=$((15000 / ${DL_PATIENCE:-1}))
coord() { exec dl-coord -q --data shards --model 'dense 32 relu' --batch 128 --steps $steps --checkpoint-every 1000000 --json "$@"; }
wanted=$( (coord -o alone --spawn 1 >alone.json) && field params_sha256 alone.json)
fact "one node" test ${#wanted} = 64

# The hosts, in hex, at which these processes listen.
listening() {
  local inodes
  inodes=$(for pid in "$@"; do find /proc/$pid/fd -lname 'socket:*' -printf '%l\n'; done | tr -dc '0-9\n' | tr '\n' ' ')
  cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
    awk -v inodes=" $inodes" '$4 == "0A" && index(inodes, " " $10 " ") {sub(":.*", "", $2); print $2}' | sort -u | tr '\n' ' '
}
v4=0100007F v6=00000000000000000000000001000000
all4=00000000 all6=00000000000000000000000000000000
ipv6() { grep -q '^00000000000000000000000000000001 ' /proc/net/if_inet6 2>/dev/null; }

# run NAME HOSTS NODE... -- OPTION...: with one dl-node started by hand for each coordinator's host named (none: spawned),
# nodes listen at HOSTS while they train
run() {
  local name=$1 hosts=$2 c host address nodes=() found
  shift 2
  local at=()
  while [ "$1" != -- ]; do at+=("$1"); shift; done
  shift
  coord -o "$name" "$@" >"$name.json" 2>"$name.log" & c=$!
  until_true 20 test -s "$name/address" || { cat "$name.log"; return 1; }
  address=$(cat "$name/address")
  for host in "${at[@]}"; do
    dl-node -q --coord "$host:${address##*:}" --key "$name/key" --transport tcp 2>>"$name.log" & nodes+=($!)
  done
  until_true 30 grep -q '"event": *"first_step"' "$name.json" || { cat "$name.log"; kill -9 $c; return 1; }
  found=$(listening $(pgrep -P $c -x dl-node) "${nodes[@]}")
  wait $c || { cat "$name.log"; return 1; }
  [ ${#nodes[@]} = 0 ] || wait "${nodes[@]}"
  same "$(field params_sha256 "$name.json")" "$wanted" || return 1
  [ "$found" = "$hosts" ] || { echo "  nodes listen at '$found' instead of '$hosts'"; return 1; }
}
near="$(ipv6 && printf "%s " $v6)$v4 "
everywhere="$(ipv6 && echo $all6 || echo $all4) "
fact "over IPv4's loopback, nodes are reached there alone" run four "$near" -- --listen 127.0.0.1:0 --spawn 2 --transport tcp
if ipv6; then
  fact "over IPv6's loopback the run trains, and nodes are reached there alone" \
    run six "$near" -- --listen '[::1]:0' --spawn 2 --transport tcp
fi
fact "a coordinator at every address does not open its own machine's nodes" \
  run open "$near" -- --listen :0 --spawn 2 --transport tcp
fact "nodes that come to another address are reached everywhere" \
  run other "$everywhere" 127.0.0.2 127.0.0.2 -- --listen 127.0.0.2:0 --nodes 2
lan=$(hostname -I 2>/dev/null | tr ' ' '\n' | grep -m 1 -E '^[0-9.]+$')
if [ -n "$lan" ]; then
  fact "one that came over loopback is found by one from the network" \
    run mixed "$everywhere" 127.0.0.1 "$lan" -- --listen :0 --nodes 2
fi
finish
