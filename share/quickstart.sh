#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# From a clone to a trained model: installs what is missing, builds, shards a small data set of
# handwritten digits, trains it on two local nodes, judges it and predicts five rows.
# What is already there is skipped. usage: share/quickstart.sh [DIRECTORY=quickstart]
set -eu
cd "$(dirname "$0")/.."
work=${1:-quickstart}
build=build

say() { printf '\n== %s\n' "$*"; }
run() {  # shows a command as one would type it, then does it
  local word
  printf '$'
  for word in "$@"; do
    case $word in *[\ \;]*) printf " '%s'" "$word" ;; *) printf ' %s' "$word" ;; esac
  done
  echo
  "$@"
}

say "1/5 packages"
share/install-packages.sh
echo "all there"

say "2/5 build"
[ -f $build/build.ninja ] || meson setup $build -Dtests=false >$build.log 2>&1 || { cat $build.log; exit 70; }
rm -f $build.log
ninja -C $build
for tool in dl-shard dl-coord dl-node dl-eval; do PATH=$PWD/$build/tools/$tool:$PATH; done
export PATH

mkdir -p "$work"
digits=share/datasets/digits.csv.gz
say "3/5 shards: who holds which data"
if [ -f "$work/shards/manifest.json" ]; then
  echo "$work/shards is there"
else
  run dl-shard -n 4 --test 0.2 -o "$work/shards" $digits
fi

say "4/5 training on two local nodes (started again, it says that it is complete)"
run dl-coord --data "$work/shards" --model 'dense 128 relu; dense 64 relu' -o "$work/run" \
  --spawn 2 --epochs 30 --batch 64 --optimizer momentum --lr 0.05

say "5/5 the judgement on the held-out part, and five predictions"
run dl-eval "$work/run" --data "$work/shards"
accuracy=$(dl-eval "$work/run" --data "$work/shards" --json | sed 's/.*"accuracy": *\([0-9.]*\).*/\1/')
echo "test_accuracy $accuracy"
echo "\$ zcat $digits | head -n 5 | dl-eval $work/run --data - --predict"
# (head closes the pipe early: that is zcat's affair)
{ zcat $digits 2>/dev/null || true; } | head -n 5 | dl-eval "$work/run" --data - --predict
awk -v a="$accuracy" 'BEGIN { exit !(a >= 0.95) }' || { echo "quickstart: accuracy is below 0.95" >&2; exit 1; }
