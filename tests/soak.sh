#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Real processes, and a fault every two seconds: nodes killed, stopped, cut off or sent away, now and then the
# coordinator killed; new ones in their place. The run has to end by itself with the bits of an undisturbed
# one, and its ledger has to prove it; the ledger of each killed coordinator too.
# usage: tests/soak.sh [--minutes N=2] [--seed N=1] [--every SECONDS=2] [BUILD=build-tests]
set -u
minutes=2 seed=1 every=2 built=
while [ $# -gt 0 ]; do
  case $1 in
    --minutes) minutes=$2; shift 2 ;;
    --seed) seed=$2; shift 2 ;;
    --every) every=$2; shift 2 ;;
    -*) echo "usage: tests/soak.sh [--minutes N] [--seed N] [--every SECONDS] [BUILD]" >&2; exit 64 ;;
    *) built=$1; shift ;;
  esac
done
root=$(cd "$(dirname "$0")/.." && pwd)
set -- "$(cd "${built:-$root/build-tests}" && pwd)" "$root"
. "$root/tests/scenarios/lib.sh"
cd "$scratch" || exit 70
RANDOM=$seed

dl-shard -q -n 8 -o shards "$digits" >/dev/null || exit 70
coord() {  # RUN [OPTION...]
  exec dl-coord -q --data shards --model 'dense 64 relu; dense 32 relu' --batch 128 --optimizer adam --lr 0.001 \
    --checkpoint-every 2000 --json -o "$@"
}

# Where the last fault will find it, nobody knows: the run has no end until then.
steps=1000000000
echo "seed $seed: a fault every $every s for $minutes min"

declare -A node_pids=() relay_pids=()  # by place
declare -A made=()                     # faults by kind
asleep=()                              # pids that are stopped, with the second when that ends
places=3 faults=0 starts=0 c=

start_coord() {
  starts=$((starts + 1))
  rm -f run/address
  coord run --steps "$steps" --listen 127.0.0.1:0 --nodes 2 >>run.json 2>>run.log & c=$!
  until_true 20 test -s run/address || { tail -n 5 run.log; exit 1; }
}
start_node() {  # PLACE: a node behind a wire of its own
  rm -f "wire$1"
  python3 "$root/tests/support/relay.py" "wire$1" run/address & relay_pids[$1]=$!
  until_true 20 test -s "wire$1" || exit 1
  dl-node -q --coord "$(cat "wire$1")" --key run/key --wait 20s 2>>nodes.log & node_pids[$1]=$!
}
fill_places() {
  local place
  for place in $(seq $places); do
    kill -0 "${node_pids[$place]:-none}" 2>/dev/null && kill -0 "${relay_pids[$place]}" 2>/dev/null && continue
    [ -z "${relay_pids[$place]:-}" ] || kill -9 "${relay_pids[$place]}" 2>/dev/null
    start_node "$place"
  done
}
later() { asleep+=("$1 $(($(date +%s) + 4))"); }
# Half of those that were stopped go on as if nothing had been, beside the one that has their place, for as long as
# they had stood still; then they are killed as the others are.
wake() {
  local entry pid left=() now
  now=$(date +%s)
  for entry in "${asleep[@]}"; do
    pid=${entry% *}
    if [ "$now" -lt "${entry#* }" ]; then
      left+=("$entry")
    elif [ $((RANDOM % 2)) = 0 ]; then
      kill -CONT "$pid" 2>/dev/null && left+=("$pid $((now + 4))")
    else
      kill -9 "$pid" 2>/dev/null
    fi
  done
  asleep=("${left[@]}")
}
# The next fault is due by the clock: one that took long, or a busy machine, makes none of them fall out.
until_next_fault() {
  local left=$(((faults + 1) * every * 1000 - $(($(milliseconds) - begin_ms))))
  [ $left -le 0 ] || sleep "$((left / 1000)).$(printf %03d $((left % 1000)))"
}
milliseconds() { local now=${EPOCHREALTIME/[.,]/}; echo $((now / 1000)); }
disturb() {
  local place=$((RANDOM % places + 1)) kind
  case $((RANDOM % 20)) in
    [0-7]) kind=killed; kill -9 "${node_pids[$place]}" ;;
    8 | 9 | 10) kind=stopped; kill -STOP "${node_pids[$place]}"; later "${node_pids[$place]}"
      later "${relay_pids[$place]}"; unset "node_pids[$place]" "relay_pids[$place]" ;;
    11 | 12 | 13) kind=cut; kill -9 "${relay_pids[$place]}" ;;
    14 | 15) kind=silenced; kill -STOP "${relay_pids[$place]}" && later "${relay_pids[$place]}"
      later "${node_pids[$place]}"; unset "node_pids[$place]" "relay_pids[$place]" ;;
    16 | 17 | 18) kind=left; kill -TERM "${node_pids[$place]}" ;;
    *) kind=coordinators
      kill -9 "$c"; wait "$c"
      dl-eval --audit run >audit.txt 2>&1 || { echo "FAILED: the audit of a killed coordinator"; cat audit.txt; exit 1; }
      start_coord ;;
  esac 2>/dev/null
  made[$kind]=$((${made[$kind]:-0} + 1))
  faults=$((faults + 1))
}

exec 3>&2 2>>noise.log  # what the shell says of each process that was killed
begin=$SECONDS
begin_ms=$(milliseconds)
start_coord
fill_places
while kill -0 "$c" 2>/dev/null && [ $faults -lt $((minutes * 60 / every)) ]; do
  until_next_fault
  kill -0 "$c" 2>/dev/null || break
  disturb
  wake
  fill_places
done
disturbed=$((SECONDS - begin))
# A last stop, and a start that tells the run its end, 20,000 steps from here.
kill -TERM "$c"
wait "$c"
stopped=$?
newest=$(readlink run/latest) && newest=${newest#step-} && newest=${newest%.safetensors}
steps=$((10#${newest:-0} + 20000))
start_coord
patience=$((minutes * 60 + 60))
while kill -0 "$c" 2>/dev/null && [ $((SECONDS - begin - disturbed)) -lt $patience ]; do
  sleep 0.2
  wake
  fill_places
done
(coord calm --steps "$steps" --spawn 1 >calm.json)
wanted=$(field params_sha256 calm.json)
exec 2>&3
ended() {
  kill -0 "$c" 2>/dev/null && { echo "  still running, $(tail -n 1 run/metrics.jsonl)"; return 1; }
  exits 0 wait "$c" || { tail -n 5 run.log; return 1; }
}
kinds() { for kind in "${!made[@]}"; do printf ' %s %s' "${made[$kind]}" "$kind"; done; }

fact "the run ended by itself, after $faults faults in $disturbed s:$(kinds)" ended
fact "asked to stop it had saved, and left with 143" test $stopped = 143
fact "after $steps steps with the bits of an undisturbed one" same "$(field params_sha256 run.json)" "$wanted"
fact "its ledger proves it" dl-eval --audit run
fact "a fault every $every s, $faults of them" test $faults -ge $((minutes * 60 / every))
echo "$starts starts, $(grep -c '"event":"lost"' run.json) nodes lost, $(grep -c '"event":"group"' run.json) generations"
finish
