#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# One of two nodes gets a quarter of a processor (the control groups' CPU quota, version 1 or 2; needs
# root): what --assign balanced and adaptive reach of the sum of the speeds, with 8 and with 32 shards.
# usage: adaptive.sh BUILD IDX_DIR [SECONDS_OF_EACH_RUN=12] [PERIOD_IN_MICROSECONDS=100000] [MODES="sync async"] [BATCH=256]
# The nodes are pinned to processors 0 and 1. 77 where there is no quota to be had.
set -u
build=$(cd "$1" && pwd) data=$(cd "$2" && pwd) seconds=${3:-12} period=${4:-100000} modes=${5:-sync async} batch=${6:-256}
for tool in dl-shard dl-coord dl-node; do PATH=$build/tools/$tool:$PATH; done
export PATH
scratch=$(mktemp -d)
if [ -d /sys/fs/cgroup/cpu ]; then group=/sys/fs/cgroup/cpu/dl-bench-$$; else group=/sys/fs/cgroup/dl-bench-$$; fi
mkdir "$group" 2>/dev/null || { echo "no control group can be made"; exit 77; }
trap 'kill $(jobs -p) 2>/dev/null; wait; rmdir "$group"; rm -rf "$scratch"' EXIT
quota=$((period / 4))
if [ -e "$group/cpu.max" ]; then
  echo "$quota $period" >"$group/cpu.max" || exit 77
elif [ -e "$group/cpu.cfs_quota_us" ]; then
  echo "$period" >"$group/cpu.cfs_period_us" && echo "$quota" >"$group/cpu.cfs_quota_us" || exit 77
else
  echo "no CPU quota here"
  exit 77
fi
cd "$scratch" || exit 70
for n in 8 32; do
  dl-shard -q --format idx --labels "$data/t10k-labels-idx1-ubyte.gz" -n $n --test 0.2 --scale minmax -o m$n \
    "$data/t10k-images-idx3-ubyte.gz" >/dev/null || exit 70
done

# run NAME SHARDS HOW SLOW NODES [MODE=sync]: prints samples per second of the last half, by the epochs' lines
run() {
  local name=$1 shards=$2 how=$3 slow=$4 nodes=$5 mode=${6:-sync} node
  DL_KEY_FILE=$scratch/$name/key
  export DL_KEY_FILE
  taskset -c 0,1 dl-coord -q --data m$shards --model 'dense 512 relu; dense 512 relu' -o "$name" --nodes "$nodes" \
    --epochs 100000 --checkpoint-every 1000000 --deadline "$((seconds + 1))s" --batch "$batch" --optimizer momentum --lr 0.05 --assign "$how" --mode "$mode" --json >"$name.json" 2>"$name.log" &
  local coord=$!
  until [ -s "$name/address" ]; do sleep 0.02; done
  for ((node = 0; node < nodes; ++node)); do
    (
      [ $node != "$slow" ] || echo $BASHPID >"$group/cgroup.procs"
      exec taskset -c $node dl-node -q --coord "$(cat "$name/address")" 2>>"$name.log"
    ) &
  done
  wait $coord
  grep '"event":"epoch"' "$name.json" | sed 's/.*"samples":\([0-9]*\).*"seconds":\([0-9.e-]*\).*/\1 \2/' |
    awk '{s[NR] = $1; t[NR] = $2} END {h = int(NR / 2); printf "%.0f", (s[NR] - s[h]) / (t[NR] - t[h])}'
}

for n in 8 32; do
  one=$(run one$n $n balanced none 1)
  quarter=$(run quarter$n $n balanced 0 1)
  for mode in $modes; do
    balanced=$(run balanced$mode$n $n balanced 1 2 $mode)
    adaptive=$(run adaptive$mode$n $n adaptive 1 2 $mode)
    awk -v n=$n -v batch="$batch" -v mode=$mode -v one="$one" -v q="$quarter" -v b="$balanced" -v a="$adaptive" \
      -v moves="$(grep -c '"moving"' adaptive$mode$n.json)" 'BEGIN {
      k = n == 8 ? 1 : 6; fast = one * n / (n - k); slow = one / 4 * n / k; best = fast < slow ? fast : slow
      printf "%-5s batch %d, %2d shards: one node %d samples/s, at a quarter %d; equal split %d (%.0f %% of the sum of the speeds), adaptive %d (%.0f %% of the sum, %.0f %% of the best whole-shard map), %d moves\n",
             mode, batch, n, one, q, b, 100 * b / (1.25 * one), a, 100 * a / (1.25 * one), 100 * a / best, moves }'
    grep '"event":"group"' adaptive$mode$n.json | sed 's/.*"step":\([0-9]*\).*"owner":\(.*\)}/  from step \1: \2/'
  done
done
