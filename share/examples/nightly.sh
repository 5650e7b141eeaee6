#!/bin/sh
# SPDX-License-Identifier: MIT
# A job for cron(8) and data that grows: takes the tables in DIRECTORY/new into the data set, each of them
# once, and trains from the parameters of the night before. Killed at any point, the next start goes on:
# a table counts as taken when the manifest has changed, and a run's name is the digest of its manifest.
#   17 2 * * *  flock -n /srv/sales/lock nightly.sh /srv/sales
# Without options: 20 epochs of adam in batches of 64, on one local node. MODEL is in the environment.
# usage: nightly.sh DIRECTORY [dl-coord options]
set -eu
[ $# -ge 1 ] || { sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 64; }
work=$1 model=${MODEL:-dense 64 relu}
shift
[ $# -gt 0 ] || set -- --optimizer adam --lr 0.002 --epochs 20 --batch 64 --spawn 1
shards=$work/shards
mkdir -p "$work/new" "$work/taken" "$work/runs"
digest() { [ ! -f "$shards/manifest.json" ] || sha256sum "$shards/manifest.json" | cut -c1-16; }

for table in "$work"/new/*; do
  [ -f "$table" ] || continue
  name=${table##*/}
  before=$(cat "$work/pending" 2>/dev/null || true)
  if [ "${before% *}" != "$name" ] || [ "${before##* }" = "$(digest)" ]; then
    echo "$name $(digest)" >"$work/pending.new" && mv "$work/pending.new" "$work/pending"
    if [ -f "$shards/manifest.json" ]; then
      dl-shard -q --append "$shards" "$table" >/dev/null
    else
      dl-shard -q -n 4 -o "$shards" "$table" >/dev/null
    fi
  fi
  mv "$table" "$work/taken/$name"
  rm -f "$work/pending"
  echo "taken: $name"
done

tonight=$(digest)
[ -n "$tonight" ] || { echo "nothing to train on in $work/new"; exit 0; }
newest=$(readlink "$work/runs/newest" || true)
[ "$newest" != "$tonight" ] || { echo "nothing new"; exit 0; }
[ -z "$newest" ] || set -- --init "$work/runs/$newest" "$@"
dl-coord -q --data "$shards" --model "$model" -o "$work/runs/$tonight" "$@"
ln -sfn "$tonight" "$work/runs/newest"
