#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A disk that is full or does not take writing: the old checkpoint stays, training goes on, the exit code says so.
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 70

dl-shard -q -n 4 -o shards "$digits" >/dev/null || exit 70
in_background=
coord() {
  $in_background dl-coord -q --data shards --model 'dense 64 relu; dense 32 relu' --batch 128 --spawn 2 \
    --checkpoint-every 300 --json "$@"
}
coord -o calm --steps 20000 >calm.json || exit 70
wanted=$(field params_sha256 calm.json)

too_small() {  # files may be 24 KiB long: no checkpoint fits, all else does
  coord -o small --steps 300 >small.json || return 1
  exits 74 bash -c '(ulimit -f 24; trap "" XFSZ; exec dl-coord -q --data shards --model "dense 64 relu; dense 32 relu" \
    --batch 128 --spawn 2 --checkpoint-every 300 --json -o small --steps 1200 >small.json 2>small.log)' || { cat small.log; return 1; }
  [ "$(readlink small/latest)" = step-000000000300.safetensors ] || { ls -l small; return 1; }
  [ "$(grep -c '"event":"write_failed"' small.json)" -ge 2 ] && grep -q 'training goes on' small.log || { cat small.log; return 1; }
  dl-eval --audit small >audit.txt && grep -q '^steps *1 to 300,' audit.txt || { cat audit.txt; return 1; }
  coord -o small --steps 1200 >small.json && dl-eval --audit small >audit.txt && grep -q '^run *complete' audit.txt
}
fact "no checkpoint fits: each is told, training goes on, 74, the old one stays; with room the run goes on" too_small

full_for_a_while() {
  mkdir disk && mount -t tmpfs -o size=1m none disk || return 1
  in_background=exec coord -o disk/run --steps 20000 >full.json 2>full.log & local c=$! code=0
  until_true 20 grep -q '"event":"checkpoint"' full.json || return 1
  head -c 2000000 /dev/zero >disk/filler 2>/dev/null
  until_true 20 grep -q '"event":"write_failed"' full.json || { cat full.log; return 1; }
  pkill -9 -P $c -n dl-node  # what the ledger has to say has no room either
  until_true 20 grep -q '"event":"lost"' full.json || return 1
  rm disk/filler
  wait $c || code=$?
  [ $code = 74 ] && grep -q 'the run is complete, but not all of it could be written' full.log || { echo "  exit $code"; cat full.log; return 1; }
  same "$(field params_sha256 full.json)" "$wanted" && dl-eval --audit disk/run | grep -q '^run *complete' &&
    grep -q '"event":"lost"' disk/run/ledger && coord -o disk/run --steps 20000 >again.json && umount disk
}
if [ "$(id -u)" = 0 ] && mkdir probe && mount -t tmpfs none probe 2>/dev/null; then
  umount probe
  fact "full for a while: the same bits, 74, a ledger without a gap; complete when asked again" full_for_a_while
  umount disk 2>/dev/null
else
  echo "skipped: a full disk (it takes root)"
fi

not_writable() {
  coord -o closed --steps 300 >closed.json || return 1
  in_background="exec $by_modes" coord -o closed --steps 20000 >closed.json 2>closed.log & local c=$! code=0
  until_true 20 grep -q '"event":"checkpoint"' closed.json || return 1
  chmod a-w closed
  wait $c || code=$?
  chmod u+w closed
  [ $code = 74 ] || { echo "  exit $code"; cat closed.log; return 1; }
  dl-eval --audit closed >/dev/null
}
if [ -z "$no_modes" ]; then
  fact "a directory that may not be written any more: 74" not_writable
else
  echo "skipped: a directory that may not be written any more (setpriv cannot take from root what the modes forbid)"
fi
finish
