#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A run in a cron table: it stops in time, is there only once, goes on, ends, and says nothing.
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 70
dl-shard -q -o digits "$digits" >/dev/null || exit 70
coord() { dl-coord -q --data digits --model 'dense 128 relu' --spawn 2 "$@"; }

coord -o whole --steps 6000 --json >whole.json || exit 70
stops_in_time() {
  local begin end
  begin=$(date +%s%N)
  exits 75 coord -o run --steps 2000000 --checkpoint-every 1000000000 --deadline 3s >/dev/null 2>err || return 1
  end=$(date +%s%N)
  [ $(((end - begin) / 1000000)) -lt $((3000 * ${DL_PATIENCE:-1})) ] || { echo "  $(((end - begin) / 1000000)) ms"; return 1; }
  [ -e run/latest ] && grep -q 'the same command goes on from here' err
}
fact "--deadline: stopped in time, saved, 75" stops_in_time
again_and_again() {
  local code=75 starts=0
  while [ $code = 75 ]; do
    code=0
    starts=$((starts + 1))
    [ $starts -lt 200 ] || { echo "  no end"; return 1; }
    coord -o parts --steps 6000 --deadline 1s --json >parts.json 2>err || code=$?
  done
  [ $code = 0 ] || { cat err; return 1; }
  same "$(field params_sha256 parts.json)" "$(field params_sha256 whole.json)"
}
fact "started again until it is done: the same bits" again_and_again
complete() {
  coord -o parts --steps 6000 --deadline 1s >done.txt 2>err && [ ! -s err ] && grep -q '^steps *6,000' done.txt
}
fact "a complete run is 0, and quiet" complete

fifty() {  # the one that has the run waits for a node until the others have got their answer
  local p pids=() busy=0 ran=0 code
  for _ in $(seq 50); do
    (exec dl-coord -q --data digits --model 'dense 128 relu' -o crowd --steps 400 --nodes 1 >/dev/null 2>&1) & pids+=($!)
  done
  running() { [ "$(for p in "${pids[@]}"; do kill -0 "$p" 2>/dev/null && echo; done | wc -l)" = "$1" ]; }
  until_true 60 running 1 || return 1
  dl-node -q --coord "$(cat crowd/address)" --key crowd/key || return 1
  for p in "${pids[@]}"; do
    code=0
    wait "$p" || code=$?
    case $code in 0) ran=$((ran + 1)) ;; 75) busy=$((busy + 1)) ;; *) echo "  exit $code"; return 1 ;; esac
  done
  [ "$ran" = 1 ] && [ "$busy" = 49 ] || { echo "  $ran ran, $busy were told to wait"; return 1; }
}
fact "fifty copies at once: one runs, 49 exit 75" fifty
waiting() {
  coord -o slow --steps 3000 >/dev/null 2>&1 & local p=$!
  until_true 10 test -s slow/address || return 1
  exits 75 coord -o slow --steps 3000 2>/dev/null || return 1
  coord -o slow --steps 3000 --wait-lock 60s --json >slow.json || return 1
  wait $p || return 1
  [ -n "$(field params_sha256 slow.json)" ]
}
fact "--wait-lock: waits for the other one to end" waiting

# The command line of the example, as cron runs it
line=$(grep -v '^#' "$source/share/examples/crontab" | sed -n 's/^[0-9*]* [0-9*]* [0-9*]* [0-9*]* [0-9*]*  //p')
crontab_line() {
  mkdir -p home/nightly && cp -r digits home/nightly/ || return 1
  for minutes in 1s 50m; do
    HOME=$PWD/home /bin/sh -c "${line/--deadline 50m/--deadline $minutes}" >out 2>err || { cat err; return 1; }
    [ ! -s out ] || { echo "  it printed something"; return 1; }
  done
  [ "$(grep -c '"event":"done"' home/nightly/run/metrics.jsonl)" = 1 ]
}
fact "the crontab's line: stopped on the first night, done on the second" crontab_line

finish
