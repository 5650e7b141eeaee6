#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Predictions as a stage of a pipe: rows without their labels in, one line for each row out
# (class, tab, probability), counted and compared with what every shell has.
# usage: predict-pipeline.sh [DIRECTORY]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=${1:-predict-pipeline}
digits=$here/../datasets/digits.csv.gz
mkdir -p "$work"

[ -f "$work/shards/manifest.json" ] || dl-shard -q -n 4 -o "$work/shards" "$digits"
# Started again, this says that the run is complete.
dl-coord -q --data "$work/shards" --model 'dense 128 relu' -o "$work/run" \
  --spawn 1 --epochs 12 --batch 64 --optimizer momentum --lr 0.05

gunzip -c "$digits" | cut -d, -f1-64 | dl-eval "$work/run" --data - --predict >"$work/predicted"
gunzip -c "$digits" | cut -d, -f65 >"$work/wanted"

echo "the least certain rows: wanted, predicted, probability"
paste "$work/wanted" "$work/predicted" | sort -k3,3g | head -n 5
echo "wanted and predicted, where they differ, most frequent first"
paste "$work/wanted" "$work/predicted" | awk '$1 != $2 { print $1, $2 }' | sort | uniq -c | sort -rn | head -n 5
echo "rows that were predicted right (most of them were trained on), of all"
paste "$work/wanted" "$work/predicted" | awk '$1 == $2 { right++ } END { print right, NR }'
