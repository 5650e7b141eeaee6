#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Whoever reads dl-coord stands still, leaves, or has no room: the run goes on, and so do signals.
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 70

dl-shard -q -n 4 -o shards "$digits" >/dev/null || exit 70
in_background=
coord() { $in_background dl-coord --data shards --model 'dense 8 relu' --batch 1500 --spawn 1 "$@"; }
# A pipe that somebody holds open and nobody reads: what is written stays in it, 64 KiB at most.
pipe() { mkfifo "$1" && exec {held}<>"$1"; }
let_go() { exec {held}>&-; }
alive() { kill -0 "$1" 2>/dev/null; }
# ends WITHIN CODE PID: it ends with this code within so many seconds
gone() { ! alive "$1"; }
ends() {
  local code=0
  until_true "$1" gone "$3" || return 1
  wait "$3" || code=$?
  [ $code = "$2" ] || { echo "  exit $code instead of $2"; return 1; }
}
complete() { grep -q '"event":"done"' "$1/metrics.jsonl"; }

slow_reader() {
  pipe slow.out || return 1
  in_background=exec coord -q -o slow --epochs 3000 --json >slow.out 2>slow.err & local c=$!
  until_true 60 complete slow || return 1
  alive $c || { echo "  it did not wait for its reader"; return 1; }
  timeout 60 sed '/"event":"done"/q' <slow.out >slow.lines || return 1
  ends 5 0 $c || return 1
  let_go
  [ "$(stat -c %s slow.lines)" -gt 200000 ] || { echo "  it would have fitted into the pipe"; return 1; }
  cut -d, -f2- slow/metrics.jsonl | sed 's/^/{/' | cmp - slow.lines && [ ! -s slow.err ] || { cat slow.err; return 1; }
}
fact "a reader that comes late: the run is complete without it, and it gets every line" slow_reader

stalled_and_stopped() {
  pipe stuck.out || return 1
  in_background=exec coord -q -o stuck --epochs 1000000 --json >stuck.out 2>stuck.err & local c=$!
  until_true 60 sh -c '[ "$(wc -l <stuck/metrics.jsonl)" -gt 1000 ]' || return 1
  kill -TERM $c
  ends 5 143 $c || return 1
  let_go
  grep -q 'standard output: .* lines were not taken' stuck.err && dl-eval --audit stuck >audit.txt || { cat stuck.err; return 1; }
}
fact "a reader that stands still: SIGTERM saves, and ends the run within 5 s, and the lines are counted" stalled_and_stopped
waiting_and_stopped() {
  pipe over.out || return 1
  in_background=exec coord -q -o over --epochs 2000 --json >over.out & local c=$!
  until_true 60 complete over || return 1
  until_true 5 test ! -e over/status.json || return 1
  kill -TERM $c
  ends 2 143 $c || return 1
  let_go
  dl-eval --audit over | grep -q '^run *complete'
}
fact "a complete run that waits for its reader is ended by a signal at once" waiting_and_stopped

stalled_errors() {
  pipe said.err || return 1
  in_background=exec coord -v -o said --epochs 2000 --checkpoint-every 1 >said.txt 2>said.err & local c=$!
  until_true 120 complete said || return 1
  timeout 60 sed '/: done: 2000 steps/q' <said.err >said.lines || return 1
  ends 5 0 $c || return 1
  let_go
  [ "$(stat -c %s said.lines)" -gt 66000 ] && grep -q '^steps *2,000' said.txt
}
fact "a reader of standard error that comes late: the same" stalled_errors

stuck_thread() {  # the loop's own thread waits for a file that takes no more
  mkdir held && mkfifo held/metrics.jsonl && exec {held}<>held/metrics.jsonl || return 1
  in_background=exec coord -q -o held --epochs 1000000 >held.txt 2>held.err & local c=$! node
  until_true 60 grep -q pipe_write /proc/$c/wchan || until_true 1 grep -q '^State:.*sleeping' /proc/$c/status || return 1
  node=$(pgrep -P $c)
  kill -TERM $c
  sleep 0.5
  alive $c || { echo "  it was not stuck"; return 1; }
  kill -TERM $c
  ends 2 143 $c || return 1
  let_go
  until_true 5 gone "$node"
}
fact "a second SIGTERM ends it at once, and its nodes, though its thread is stuck" stuck_thread

left() {
  coord -q -o left --epochs 2000 --json 2>left.err | head -n 1 >one.txt
  [ "${PIPESTATUS[0]}" = 0 ] && [ ! -s left.err ] && complete left && [ "$(wc -l <one.txt)" = 1 ]
}
fact "a reader that leaves: the run is complete, and quiet" left
no_room() {
  exits 74 coord -q -o full --epochs 5 --json 2>full.err >/dev/full && complete full &&
    grep -q 'standard output: No space left' full.err || { cat full.err; return 1; }
}
fact "no room for the results: the run is complete, 74" no_room
finish
