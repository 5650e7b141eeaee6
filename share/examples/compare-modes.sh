#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Which way of agreeing suits a model, a link and a number of nodes? Trains the same run in each of them and
# prints a table: the time of a step, the bytes that a node sends in it, the seconds of training to a target
# accuracy, and the accuracy at the end.
#
# usage: compare-modes.sh [OPTION]...
#   --shards DIR     data, made by dl-shard        [the digits that come with dl, in 8 shards]
#   --model SPEC     layers                        [dense 512 relu; dense 512 relu]
#   --nodes N        nodes, of one thread          [2]
#   --rate RATE      of each node's link, as tc(8) takes it; none: unlimited   [100mbit]
#   --batch B  --lr F  --epochs N                  [128, 0.05, 20]
#   --target A       accuracy                      [0.95]
#   --seconds S      the most that a run may take  [60]
#   --only PATTERN   lines whose name matches (grep -E)
#
# As root, and with ip(8) and tc(8), each node is a host of its own: a network namespace with a link of that rate
# to a switch; what a node sends is from the counters of its link. Else all is on the loopback, unlimited, and what
# is sent is from the loopback's counters, for all that runs on this machine. Bytes are those between the first
# epoch's end and the last one's, so judging after each epoch is among them; the bytes of the start are not.
set -u
here=$(cd "$(dirname "$0")" && pwd)
shards='' model='dense 512 relu; dense 512 relu' nodes=2 rate=100mbit batch=128 lr=0.05 epochs=20 target=0.95
seconds=60 only=.
while [ $# -gt 0 ]; do
  case $1 in
    --shards | --model | --nodes | --rate | --batch | --lr | --epochs | --target | --seconds | --only)
      [ $# -gt 1 ] || { echo "compare-modes.sh: $1 needs a value" >&2; exit 64; }
      printf -v "${1#--}" %s "$2"
      shift 2
      ;;
    -h | --help) sed -n '3,/^set -u/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) echo "compare-modes.sh: unknown option '$1' (see --help)" >&2; exit 64 ;;
  esac
done
for tool in dl-shard dl-coord dl-node; do
  command -v $tool >/dev/null || { echo "compare-modes.sh: no $tool in PATH" >&2; exit 66; }
done
work=$(mktemp -d) || exit 73
name=dlcmp$$ hosts=no

down() {
  kill $(jobs -p) 2>/dev/null
  wait 2>/dev/null
  for i in $(seq 0 $((nodes - 1))); do ip netns del "$name-$i" 2>/dev/null; done
  ip netns del "$name-sw" 2>/dev/null
  rm -rf "$work"
}
trap down EXIT
trap 'exit 130' INT TERM

# A switch, and a link to each host, limited in both directions.
up() {
  local i limit
  ip netns add "$name-sw" || return 1
  ip -n "$name-sw" link add br0 type bridge && ip -n "$name-sw" link set br0 up || return 1
  for i in $(seq 0 $((nodes - 1))); do
    ip netns add "$name-$i" &&
      ip -n "$name-sw" link add "port$i" type veth peer name eth0 netns "$name-$i" &&
      ip -n "$name-$i" link set lo up &&
      ip -n "$name-$i" addr add "10.78.0.$((i + 1))/24" dev eth0 &&
      ip -n "$name-$i" link set eth0 up &&
      ip -n "$name-sw" link set "port$i" master br0 &&
      ip -n "$name-sw" link set "port$i" up || return 1
    [ "$rate" = none ] && continue
    limit="tbf rate $rate burst 64k latency 50ms"
    tc -n "$name-$i" qdisc add dev eth0 root $limit && tc -n "$name-sw" qdisc add dev "port$i" root $limit || return 1
  done
}
if [ "$(id -u)" = 0 ] && command -v ip >/dev/null && command -v tc >/dev/null && up 2>/dev/null; then hosts=yes; fi

if [ -z "$shards" ]; then
  shards=$work/shards
  dl-shard -q -n 8 -o "$shards" "$here/../datasets/digits.csv.gz" >/dev/null || exit
fi

on() {  # on HOST COMMAND...
  local host=$1
  shift
  if [ $hosts = yes ]; then exec ip netns exec "$name-$host" "$@"; else exec "$@"; fi
}
sent() {  # what all hosts have sent until now
  local i sum=0
  if [ $hosts = no ]; then
    cat /sys/class/net/lo/statistics/tx_bytes
    return
  fi
  for i in $(seq 0 $((nodes - 1))); do
    sum=$((sum + $(ip netns exec "$name-$i" cat /sys/class/net/eth0/statistics/tx_bytes)))
  done
  echo $sum
}
field() { sed -n "s/.*\"$1\": *\"\{0,1\}\([^,\"}]*\).*/\1/p" <<<"$2"; }

# run NODES OPTION...: the run's epochs as lines 'step seconds accuracy bytes'
run() {
  local count=$1 dir=$work/run listen=127.0.0.1 i line code
  shift
  rm -rf "$dir"
  [ $hosts = yes ] && listen=10.78.0.1
  (on 0 dl-coord -q --data "$shards" --model "$model" -o "$dir" --nodes "$count" --listen $listen:0 --batch "$batch" \
    --optimizer momentum --lr "$lr" --epochs "$epochs" --checkpoint-every 1000000000 --deadline "${seconds}s" \
    --json "$@" 2>"$work/log") |
    while IFS= read -r line; do
      case $line in
        *'"event":"epoch"'*)
          echo "$(field step "$line") $(field seconds "$line") $(field test_accuracy "$line") $(sent)" ;;
      esac
    done >"$work/epochs" &
  local coord=$!
  for i in $(seq 200); do
    [ -s "$dir/address" ] && break
    kill -0 $coord 2>/dev/null || break
    sleep 0.05
  done
  for i in $(seq 0 $((count - 1))); do
    (on "$i" dl-node -q --coord "$(cat "$dir/address" 2>/dev/null)" --key "$dir/key" --transport tcp 2>>"$work/log") &
  done
  wait $coord
  wait
  [ -s "$work/epochs" ] || { head -n 3 "$work/log" >&2; return 1; }
}

# row NAME NODES OPTION...
row() {
  local label=$1 count=$2
  grep -qE -- "$only" <<<"$label" || return
  shift 2
  if ! run "$count" "$@"; then
    printf '%-24s did not train\n' "$label"
    return
  fi
  awk -v label="$label" -v nodes="$count" -v target="$target" '
    NR == 1 { step = $1; bytes = $4 }
    !reached && $3 >= target { reached = $2 }
    { last = $1; seconds = $2; accuracy = $3; all = $4 }
    END {
      sent = nodes > 1 && last > step ? sprintf("%.0f", (all - bytes) / (last - step) / nodes) : "-"
      printf "%-24s %9.2f %12s %9s %9.4f %7d\n", label, 1000 * seconds / last, sent,
             reached ? sprintf("%.2f", reached) : "-", accuracy, last
    }' "$work/epochs"
}

has() { dl-coord --help | sed -n '/--mode HOW/p' | grep -qw "$1"; }

if [ $hosts = yes ]; then echo "$nodes nodes on hosts of their own, links of $rate; $model; batch $batch"
else echo "$nodes nodes on the loopback, unlimited (no root, or no ip and tc); $model; batch $batch"; fi
printf '%-24s %9s %12s %9s %9s %7s\n' agreement ms/step bytes/step "s to $target" accuracy steps
row 'one node' 1
row sync "$nodes"
for how in bf16 int8 topk=0.01 powersgd=2; do row "sync $how" "$nodes" --compress $how --groups "$nodes"; done
row 'local 8' "$nodes" --mode local --local-steps 8
row 'local 64' "$nodes" --mode local --local-steps 64
row 'local 8 int8' "$nodes" --mode local --local-steps 8 --compress int8 --groups "$nodes"
has async && row async "$nodes" --mode async
has async && row 'async int8' "$nodes" --mode async --compress int8 --groups "$nodes"
has pipeline && row pipeline "$nodes" --mode pipeline
has tensor && row tensor "$nodes" --mode tensor
exit 0
