#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Kills a run in the middle, starts it again with the same command, and shows that it ends with the
# same parameters as a run that nobody disturbed, here with another number of nodes too.
# usage: resume.sh [DIRECTORY]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=${1:-resume}
mkdir -p "$work"
rm -rf "$work/killed" "$work/calm"

[ -f "$work/shards/manifest.json" ] || dl-shard -n 4 -o "$work/shards" "$here/../datasets/digits.csv.gz"

# train RUN NODES; exec, so that the shell that runs it in the background is dl-coord.
train() {
  exec dl-coord -q --data "$work/shards" --model 'dense 128 relu; dense 64 relu' -o "$1" \
    --spawn "$2" --epochs 60 --batch 64 --optimizer adam --lr 0.002 --json
}

(train "$work/killed" 2) >"$work/killed.log" &
coordinator=$!
until grep -q '"checkpoint"' "$work/killed/metrics.jsonl" 2>/dev/null; do
  kill -0 $coordinator || exit
  sleep 0.02
done
kill -9 $coordinator
wait $coordinator 2>/dev/null || true
echo "killed in the middle; the last thing it wrote:"
tail -n 1 "$work/killed/metrics.jsonl"

echo "the same command again:"
(train "$work/killed" 2) | tail -n 1 | tee "$work/killed.done"
echo "a run that nobody disturbed, on one node:"
(train "$work/calm" 1) | tail -n 1 | tee "$work/calm.done"

digest() { sed 's/.*"params_sha256": *"\([0-9a-f]*\)".*/\1/' "$1"; }
if [ "$(digest "$work/killed.done")" = "$(digest "$work/calm.done")" ]; then
  echo "the same parameters, to the last bit"
else
  echo "the parameters differ" >&2
  exit 1
fi
