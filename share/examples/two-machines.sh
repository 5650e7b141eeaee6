#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A run whose parts are started by hand, as on several machines: one coordinator, two nodes.
# Here all of them are on one machine, so that the script runs as it is. On real machines:
#   - the data directory is readable on each of them (a shared disk, or a copy: the digest decides);
#   - dl-coord gets --listen HOST:PORT with an address that the others reach;
#   - each dl-node has a copy of RUN/key: scp it, and nobody else may read it;
#   - each dl-node is started by ssh, cron, Slurm or a person, before the coordinator or after it.
# usage: two-machines.sh [DIRECTORY]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=${1:-two-machines}
mkdir -p "$work"

# Who holds which data.
[ -f "$work/shards/manifest.json" ] || dl-shard -n 4 -o "$work/shards" "$here/../datasets/digits.csv.gz"

# "Machine" 0: the coordinator, on a free port, which it writes to RUN/address.
dl-coord --data "$work/shards" --model 'dense 64 relu' -o "$work/run" \
  --listen 127.0.0.1:0 --nodes 2 --epochs 10 --batch 64 --optimizer momentum --lr 0.05 &
coordinator=$!
until [ -s "$work/run/address" ]; do
  kill -0 $coordinator || exit # it said why
  sleep 0.05
done
address=$(cat "$work/run/address")

# "Machines" 1 and 2. They end when the run ends.
dl-node --coord "$address" --key "$work/run/key" --data "$work/shards" --threads 1 &
dl-node --coord "$address" --key "$work/run/key" --data "$work/shards" --threads 1 &

wait $coordinator
wait
