#!/bin/sh
# SPDX-License-Identifier: MIT
# Cross-validation: every shard in turn is held out, the others are trained on, and the shard is judged
# on. Prints each judgement, their mean and their standard deviation (of the sample: n - 1). A run that
# is complete is not done again, so the script can be stopped and goes on; RUNS (the environment; default
# cross-validation) is where the runs are.
# Without options: 30 epochs of adam in batches of 64, which suits a table of a few thousand rows.
# usage: cross-validate.sh DATA_DIR MODEL [dl-coord options]
#   cross-validate.sh digits 'dense 128 relu' --optimizer adam --epochs 30 --refit
set -eu
[ $# -ge 2 ] || { sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 64; }
data=$1 model=$2
shift 2
[ $# -gt 0 ] || set -- --optimizer adam --lr 0.002 --batch 64 --epochs 30
case " $* " in *" --spawn "* | *" --listen "*) ;; *) set -- "$@" --spawn 1 ;; esac
runs=${RUNS:-cross-validation}
mkdir -p "$runs"

# One object a line in "shards", so their number is that of their files.
shards=$(dl-shard --info "$data" --json | awk '{ n += gsub(/"file": *"shard-/, "") } END { print n + 0 }')
[ "$shards" -ge 2 ] || { echo "cross-validate.sh: $data: $shards shards, and two are the least" >&2; exit 65; }

: >"$runs/judgements"
k=0
while [ "$k" -lt "$shards" ]; do
  dl-coord -q --data "$data" --model "$model" -o "$runs/$k" --hold-out "$k" "$@" >"$runs/$k.table"
  # "accuracy 0.97" of classes, "rmse 0.31" of a number
  dl-eval "$runs/$k" --json | awk -v shard="$k" '
    match($0, /"(accuracy|rmse)":[^,}]*/) {
      found = substr($0, RSTART + 1, RLENGTH - 1)
      split(found, part, /":/)
      print "shard " shard ": " part[1], part[2]
    }' | tee -a "$runs/judgements"
  k=$((k + 1))
done

awk '
  { what = $3; sum += $4; value[NR] = $4 }
  END {
    mean = sum / NR
    for (i = 1; i <= NR; ++i) squares += (value[i] - mean) ^ 2
    printf("mean %s %.4f\nstandard deviation %.4f\n", what, mean, sqrt(squares / (NR - 1)))
  }' "$runs/judgements"
