#!/bin/sh
# SPDX-License-Identifier: MIT
# A network of two layers on two nodes: layer 1 on node A, layer 2 on node B, and the data in two parts.
# Node A alone has the rows. For each part of a batch it sends B what layer 1 makes of it, and B sends back
# the gradient by that; weights stay where they are. The parameters are those of one node that has it all.
# usage: two-layers-two-nodes.sh [DIRECTORY]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=${1:-two-layers-two-nodes}
mkdir -p "$work"

[ -f "$work/shards/manifest.json" ] || dl-shard -q -n 2 -o "$work/shards" "$here/../datasets/digits.csv.gz" >/dev/null

# train NAME OPTION...: dl-coord with these options; its events go to NAME.json
train() {
  name=$1
  shift
  dl-coord -q --data "$work/shards" --model 'dense 64 relu' -o "$work/$name" --json \
    --epochs 10 --batch 64 --optimizer momentum --lr 0.05 "$@" >"$work/$name.json"
}
train one --spawn 1
train two --spawn 2 --mode pipeline --stages 2

# event NAME FIELD: of the newest such event in metrics.jsonl of the pipeline
event() { grep "\"event\": *\"$1\"" "$work/two/metrics.jsonl" | tail -n 1 | sed -n "s/.*\"$2\": *\(\[[^]]*\]\|[^,}]*\).*/\1/p"; }
digest() { sed -n 's/.*"params_sha256": *"\([^"]*\)".*/\1/p' "$work/$1/metrics.jsonl" | tail -n 1; }

echo "layers of node A and node B: $(event group stages)"
echo "parts of the data, both read by node A (rank of each): $(event group owner)"
samples=$(event done samples)
echo "$samples rows went up and came down:"
echo "  A to B, a row: 64 activations, a class and a weight: 264 bytes"
echo "  B to A, a row: 64 gradients by them: 256 bytes"
echo "one node:  $(digest one)"
echo "two nodes: $(digest two)"
[ -n "$(digest one)" ] && [ "$(digest one)" = "$(digest two)" ] || { echo "the parameters differ" >&2; exit 1; }
echo "the same parameters, to the last bit"
