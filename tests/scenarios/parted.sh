#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Nodes that reach the coordinator and not each other, from the beginning or all of a sudden: it is said who does not
# reach whom, and the run goes on without one of them, or ends. Needs root and network namespaces.
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 70

[ "$(id -u)" = 0 ] && command -v ip >/dev/null || { echo "no root, or no ip"; exit 77; }
no_hosts() { for host in hub a b; do ip netns del "dl$$$host" 2>/dev/null; done; }
trap '[ "$BASHPID" != $$ ] || { cleanup; no_hosts; }' EXIT
hub=dl$$hub
for host in hub a b; do ip netns add dl$$$host 2>/dev/null || { echo "no network namespaces here"; exit 77; }; done
forward() { ip netns exec $hub sh -c "echo $1 >/proc/sys/net/ipv4/ip_forward"; }
number=0
for host in a b; do
  number=$((number + 1))
  ip -n $hub link add to_$host type veth peer name eth0 netns dl$$$host || { echo "no veth here"; exit 77; }
  ip -n $hub addr add 10.79.$number.1/24 dev to_$host
  ip -n $hub link set to_$host up
  ip -n dl$$$host addr add 10.79.$number.2/24 dev eth0
  ip -n dl$$$host link set lo up
  ip -n dl$$$host link set eth0 up
  ip -n dl$$$host route add default via 10.79.$number.1
done
ip -n $hub link set lo up
forward 0 2>/dev/null || { echo "no way to keep hosts apart"; exit 77; }

dl-shard -q -n 8 -o shards "$digits" >/dev/null || exit 70
training=(--data shards --model 'dense 64 relu; dense 32 relu' --batch 128 --optimizer adam --lr 0.001 --json)
dl-coord -q "${training[@]}" -o calm --steps 200 --spawn 1 >calm.json || exit 70
wanted=$(field params_sha256 calm.json)

# begin NAME OPTION...: a coordinator on the hub, a node on each host; $c is the coordinator, $port its port
begin() {
  local name=$1 host number=0
  shift
  exec_in() { exec ip netns exec "$@"; }
  exec_in $hub "$(command -v dl-coord)" -q "${training[@]}" -o "$name" --listen 0.0.0.0:0 --nodes 2 "$@" >"$name.json" 2>"$name.log" & c=$!
  until_true 20 test -s "$name/address" || { cat "$name.log"; return 1; }
  for host in a b; do
    number=$((number + 1))
    ip netns exec dl$$$host "$(command -v dl-node)" -q --coord "10.79.$number.1:$(sed 's/.*://' "$name/address")" \
      --key "$name/key" 2>>"$name.nodes" &
  done
}

says_who() {  # NAME
  grep -q "did not meet within 10.0 s; rank [01] (10.79.[12].2:[0-9]*): " "$1.log" && grep -q 'left out for 60 s.* rank 0 (' "$1.log" ||
    { cat "$1.log"; return 1; }
}

parted() {
  local code=0
  begin parted --steps 200 || return 1
  wait $c || code=$?
  [ $code = 0 ] || { echo "  exit $code"; tail -n 5 parted.log; return 1; }
  says_who parted && same "$(field params_sha256 parted.json)" "$wanted" && dl-eval --audit parted >audit.txt || return 1
}
needed() {
  local code=0
  begin needed --steps 200 --min-nodes 2 --wait 5s || return 1
  wait $c || code=$?
  says_who needed && same $code 69
}
parted >parted.fact & first=$!
needed >needed.fact & second=$!
wait $first
fact "two nodes that never meet are named, and one of them goes on to the same bits" same $? 0
wait $second
fact "where both are needed, the run ends with 69" same $? 0
cat parted.fact needed.fact

cut_off() {
  local code=0
  forward 1
  begin cut --steps 3000 --hung-after 11s || return 1
  until_true 30 grep -q first_step cut.json || { cat cut.log cut.nodes; return 1; }
  forward 0
  wait $c || code=$?
  [ $code = 0 ] || { echo "  exit $code"; tail -n 5 cut.log; return 1; }
  dl-coord -q "${training[@]}" -o calm3 --steps 3000 --spawn 1 >calm3.json || return 1
  says_who cut && same "$(field params_sha256 cut.json)" "$(field params_sha256 calm3.json)"
}
fact "a link that is cut between two nodes while they train: one goes on to the same bits" cut_off
finish
