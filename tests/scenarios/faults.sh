#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Nodes die, come back, speak nonsense: the run goes on and the bits stay.
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 70

dl-shard -q -n 8 -o shards "$digits" >/dev/null || exit 70
steps=$((6000 / ${DL_PATIENCE:-1}))
in_background= every=1000
coord() {  # in the background, $! is dl-coord itself
  $in_background dl-coord -q --data shards --model 'dense 64 relu; dense 32 relu' --batch 128 --optimizer adam \
    --lr 0.001 --steps $steps --checkpoint-every $every --json "$@"
}
wanted=$(coord -o calm --spawn 1 >calm.json && field params_sha256 calm.json)
fact "the undisturbed run ends" test ${#wanted} = 64

start() {  # start NAME NODES: a coordinator and nodes by hand; $c, $nodes, $address
  local name=$1 count=$2 n
  in_background=exec coord -o "$name" --listen 127.0.0.1:0 --nodes "$count" >"$name.json" 2>"$name.log" &
  c=$!
  until_true 10 test -s "$name/address" || return 1
  address=$(cat "$name/address")
  export DL_KEY_FILE=$name/key
  nodes=()
  for n in $(seq "$count"); do
    dl-node -q --coord "$address" 2>>"$name.log" &
    nodes+=($!)
  done
  until_true 20 grep -q first_step "$name.json"
}

lost() {
  start lost 3 || { cat lost.log; return 1; }
  kill -9 "${nodes[1]}"
  until_true 5 grep -q '"event": *"lost"' lost.json || { cat lost.log; return 1; }
  wait $c || { cat lost.log; return 1; }
  grep '"event": *"lost"' lost.json | grep -q "\"pid\": *${nodes[1]}[,}]" || { cat lost.json; return 1; }
  wait "${nodes[0]}" && wait "${nodes[2]}" || return 1
  same "$(field params_sha256 lost.json)" "$wanted"
}
fact "a killed node is named, the survivors go on to the same bits" lost

frozen() {
  start frozen 2 || return 1
  kill -STOP "${nodes[0]}"
  until_true 6 grep -q '"event": *"lost"' frozen.json
  local named=$?
  wait $c || { cat frozen.log; named=1; }
  kill -9 "${nodes[0]}"
  [ $named = 0 ] && same "$(field params_sha256 frozen.json)" "$wanted"
}
fact "a stopped node is named within seconds, the run goes on to the same bits" frozen

join() {
  start join 1 || return 1
  dl-node -q --coord "$address" & local late=$!
  wait $c || { cat join.log; return 1; }
  wait $late || return 1
  [ "$(grep -c '"event": *"joined"' join.json)" -ge 2 ] || { cat join.json; return 1; }
  same "$(field params_sha256 join.json)" "$wanted"
}
fact "a node that joins half way changes no bit" join

respawn() {
  in_background=exec coord -o respawn --spawn 2 >respawn.json 2>respawn.log & c=$!
  until_true 20 grep -q first_step respawn.json || return 1
  pkill -9 -P $c -n dl-node || return 1
  wait $c || { cat respawn.log; return 1; }
  same "$(field params_sha256 respawn.json)" "$wanted"
}
fact "a spawned node that is killed is started again" respawn

storm() {  # every fifth fault freezes a node, the others kill one
  steps=60000
  local calm faults=0 victim
  calm=$(coord -o stormless --spawn 1 >stormless.json && field params_sha256 stormless.json)
  in_background=exec coord -o storm --spawn 3 >storm.json 2>storm.log & c=$!
  while kill -0 $c 2>/dev/null && [ $faults -lt 12 ]; do
    sleep 0.3
    victim=$(pgrep -P $c dl-node | shuf -n 1)
    [ -n "$victim" ] || continue
    faults=$((faults + 1))
    if [ $((faults % 5)) = 0 ]; then kill -STOP "$victim"; else kill -9 "$victim"; fi
  done
  wait $c || { tail -n 20 storm.log; return 1; }
  [ $faults -ge 5 ] || { echo "  only $faults faults"; return 1; }
  same "$(field params_sha256 storm.json)" "$calm"
}
fact "a dozen nodes killed or frozen, one after the other: the same bits" storm
steps=$((6000 / ${DL_PATIENCE:-1}))

leaves() {
  start leaves 2 || return 1
  kill -TERM "${nodes[1]}"
  exits 143 wait "${nodes[1]}" || return 1
  wait $c || { cat leaves.log; return 1; }
  same "$(field params_sha256 leaves.json)" "$wanted"
}
fact "a node that is asked to leave does so with 143, the others go on" leaves

comes_back() {  # the coordinator is killed; nodes keep the state, which no checkpoint has
  local every=1000000
  start back 2 || return 1
  until_true 20 grep -q '"epoch": *3,' back.json || return 1
  kill -9 $c
  wait $c 2>/dev/null
  in_background=exec coord -o back --listen "$address" --nodes 2 >back2.json 2>>back.log & c=$!
  wait $c || { cat back.log; return 1; }
  wait "${nodes[0]}" && wait "${nodes[1]}" || return 1
  grep '"event": *"group"' back2.json | head -n 1 | grep -q '"step": *[1-9]' || { grep group back2.json; return 1; }
  same "$(field params_sha256 back2.json)" "$wanted" && dl-eval --audit back >audit.txt || { cat audit.txt; return 1; }
}
fact "a coordinator that is killed and started again finds its nodes with the state: the same bits" comes_back

asked_to_stop() {  # [stopped | hung]: while a node is stopped, or only its training thread
  local begin code=0 child
  rm -rf asked asked.json  # what is waited for below is said by this run
  in_background=exec coord -o asked --spawn 3 >asked.json 2>asked.log & c=$!
  until_true 20 grep -q first_step asked.json || return 1
  child=$(pgrep -P $c dl-node | head -n 1)
  case ${1:-} in
    stopped) kill -STOP "$child" ;;
    hung)
      python3 "$source/tests/support/hang.py" "$child" >hung.txt 2>hung.err & local tracer=$!
      until_true 5 sh -c "grep -q frozen hung.txt || ! kill -0 $tracer"
      grep -q frozen hung.txt || { echo "  nobody may be traced here: $(cat hung.err)"; kill -9 $c; return 0; } ;;
  esac
  begin=$(date +%s%N)
  kill -TERM $c
  wait $c || code=$?
  local took=$((($(date +%s%N) - begin) / 1000000))
  [ $code = 143 ] && [ $took -lt $((5000 * ${DL_PATIENCE:-1})) ] || { echo "  exit $code after $took ms"; return 1; }
  [ -e asked/latest ] && ! kill -0 "$child" 2>/dev/null
}
steps=1000000
fact "asked to stop: saved, gone with all children, 143 within 5 s" asked_to_stop
fact "the same while a node is stopped" asked_to_stop stopped
fact "the same while a node's training thread hangs" asked_to_stop hung
steps=$((6000 / ${DL_PATIENCE:-1}))

noise() {
  start noise 1 || return 1
  local port=${address##*:} i
  for i in 1 2 3 4 5; do
    (exec 3<>"/dev/tcp/127.0.0.1/$port" && head -c 4096 /dev/urandom >&3; true) 2>/dev/null
  done
  wait $c || { cat noise.log; return 1; }
  same "$(field params_sha256 noise.json)" "$wanted"
}
fact "random bytes on the port change nothing" noise

fact "no coordinator there: 69 after --wait" exits 69 dl-node -q --coord 127.0.0.1:1 --wait 300ms
orphans() {
  in_background=exec coord -o orphans --spawn 2 >orphans.json 2>/dev/null & c=$!
  until_true 20 grep -q first_step orphans.json || return 1
  local children
  children=$(pgrep -P $c dl-node)
  [ "$(echo "$children" | wc -w)" = 2 ] || { echo "  children: $children"; return 1; }
  kill -9 $c
  wait $c 2>/dev/null
  local child
  for child in $children; do until_true 5 sh -c "! kill -0 $child" || return 1; done
}
fact "children never outlive a killed coordinator" orphans
finish
