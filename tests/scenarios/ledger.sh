#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The ledger of a run that was disturbed proves what it did, and no line of it can be taken away.
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 70

dl-shard -q -n 8 -o shards "$digits" >/dev/null || exit 70
in_background=
coord() { $in_background dl-coord -q --data shards --model 'dense 64 relu' --batch 100 --checkpoint-every 400 --json "$@"; }
# refused FILE [PATTERN]: the audit of run/ with this ledger answers no
refused() {
  cp "$1" run/ledger || return 1
  exits 1 dl-eval --audit run >out 2>err || { cat out err; return 1; }
  [ ! -s out ] && grep -q -- "${2:-ledger}" err || { cat err; return 1; }
}

steps=$((4000 / ${DL_PATIENCE:-1}))
coord -o calm --spawn 1 --steps $steps >calm.json || exit 70
# A start must not make good what was done to the ledger of a run that stands.
start_again_without_its_end() {
  local broken
  [ $code = 143 ] || return 0  # it was complete before the signal came
  cp run/ledger stopped.ledger
  cp run/run.json stopped.json
  for broken in 'head -n -1' 'head -n -3' 'sed $s/20[0-9][0-9]-/1999-/' 'head -n 0'; do
    $broken stopped.ledger >run/ledger
    cp run/ledger broken.ledger
    exits 65 coord -o run --spawn 1 --steps $steps >out 2>err && grep -q 'run/ledger: .*; put the right one back, or begin a new run' err ||
      { echo "  $broken"; cat err; return 1; }
    cmp run/ledger broken.ledger && cmp run/run.json stopped.json || { echo "  $broken"; return 1; }
    ! dl-eval --audit run >out 2>err || { echo "  $broken"; return 1; }
  done
  sed 2d stopped.ledger >run/ledger  # this one stays in the chain
  ! dl-eval --audit run >out 2>err || return 1
  cp stopped.ledger run/ledger
}
disturbed() {  # a node killed, the coordinator killed, a stop, another assignment
  local c code=0
  in_background=exec coord -o run --spawn 3 --steps $steps >1.json 2>>log & c=$!
  until_true 20 grep -q first_step 1.json || return 1
  pkill -9 -P $c -n dl-node || return 1
  until_true 20 sh -c '[ "$(grep -c "\"event\":\"group\"" 1.json)" -ge 2 ]' || return 1
  until_true 20 grep -q '"event":"checkpoint"' 1.json || return 1
  kill -9 $c
  wait $c 2>/dev/null
  in_background=exec coord -o run --spawn 2 --assign random --steps $steps >2.json 2>>log & c=$!
  until_true 20 grep -q '"event":"checkpoint"' 2.json || return 1
  kill -TERM $c
  wait $c || code=$?
  [ $code = 143 ] || [ $code = 0 ] || { echo "  exit $code"; cat log; return 1; }
  dl-eval --audit run >stopped.txt || return 1
  start_again_without_its_end || return 1
  in_background= coord -o run --spawn 2 --steps $steps >3.json 2>>log || { cat log; return 1; }
  same "$(field params_sha256 3.json)" "$(field params_sha256 calm.json)"
}
fact "killed, killed, stopped, with a ledger that was cut and put back, moved: the same bits" disturbed
fact "the audit holds after the stop" grep -q 'each once, every shard with one owner' stopped.txt
fact "and at the end" sh -c 'dl-eval --audit run >audit.txt && grep -q "^run *complete" audit.txt && cat audit.txt'
fact "as JSON, with the digest of the parameters" \
  sh -c "dl-eval --audit run --json | grep -q '\"params_sha256\":\"$(field params_sha256 calm.json)\"'"
fact "an undisturbed run's too" sh -c 'dl-eval --audit calm | grep -q "in 1 stretch"'

cp run/ledger whole
lines=$(wc -l <whole)
every_line() {
  local n
  for n in $(seq "$lines"); do
    sed "${n}d" whole >removed && refused removed || { echo "  line $n removed"; return 1; }
    sed "${n}p" whole >doubled && refused doubled || { echo "  line $n doubled"; return 1; }
    sed "${n}s/[0-9]\\([^0-9]*\\)\$/x\\1/" whole >changed && refused changed || { echo "  line $n changed"; return 1; }
    sed "${n}s/20[0-9][0-9]-/1999-/" whole >changed && refused changed || { echo "  line $n dated back"; return 1; }
  done
}
fact "each of $lines lines removed, doubled or changed: 1" every_line
head -n -2 whole >short
fact "an end that was cut off is known from run.json" refused short 'where run.json counted'
cut_line() {  # as by a crash while it was written
  { cat whole; printf '{"event":"lost","ho'; } >run/ledger
  dl-eval --audit run >out
}
fact "a last line that was cut while it was written is passed over" cut_line
cp whole run/ledger
echo '{"event":"done"}' >run/none && mv run/none run/ledger
fact "what is no ledger: 65" exits 65 dl-eval --audit run 2>/dev/null
rm run/ledger
fact "no ledger: 66" exits 66 dl-eval --audit run 2>/dev/null
cp whole run/ledger
other_checkpoint() {
  local newest
  newest=$(readlink run/latest)
  ln -sfn "$(cd run && ls step-*.safetensors | tail -n 2 | head -n 1)" run/latest
  exits 1 dl-eval --audit run 2>err && grep -q 'the newest checkpoint is of step' err || { cat err; return 1; }
  ln -sfn "$newest" run/latest
}
fact "an older checkpoint in its place: 1" other_checkpoint
cp -r shards twisted && sed -i 's/"seed": 1/"seed": 2/' twisted/manifest.json
fact "other data: 76" exits 76 dl-eval --audit run --data twisted 2>/dev/null
fact "no run: 66" exits 66 dl-eval --audit shards/manifest.json 2>/dev/null

live() {  # a run that saves as often as it can, judged while it goes on
  dl-coord -q --data shards --model 'dense 8 relu' --batch 100 -o live --spawn 1 --steps 100000000 --checkpoint-every 1 \
    --keep 1 --json >live.json 2>>log & local c=$! n
  until_true 20 grep -q '"event":"checkpoint"' live.json || return 1
  for n in $(seq 60); do
    dl-eval --audit live >out 2>err || { echo "  audit $n"; cat err; return 1; }
  done
  kill -TERM $c
  until dl-eval --audit live >out 2>err && ! kill -0 $c 2>/dev/null; do
    [ ! -s err ] || { cat err; return 1; }
  done
}
fact "a run that goes on is audited, 60 times and while it stops" live
longer() {
  coord -o run --spawn 2 --steps $((steps + 500)) >4.json || return 1
  dl-eval --audit run >out && grep -q "^steps *1 to $((steps + 500))," out || { cat out; return 1; }
}
fact "a complete run that is made longer is one lineage" longer
held_out() {
  dl-coord -q --data shards --model 'dense 8 relu' --hold-out 3 -o held --spawn 2 --epochs 2 >/dev/null || return 1
  dl-eval --audit held | grep -q 'in each of 2 epochs'
}
fact "a run without one of the shards" held_out
finish
