#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Asynchronous training: it learns on any number of nodes, and whatever happened to them, its log gives the
# same bits again on one node.
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 70
RANDOM=7

dl-shard -q -n 8 --test 0.2 --seed 3 -o shards "$digits" >/dev/null || exit 70
options=(-q --data shards --model 'dense 48 relu; dense 24 tanh' --batch 96 --json)

# train NAME OPTION...: the run's events in NAME.json
train() {
  local name=$1
  shift
  case "$*" in *--optimizer*) ;; *) set -- --optimizer momentum --lr 0.05 "$@" ;; esac
  dl-coord "${options[@]}" -o "$name" "$@" >"$name.json" 2>"$name.log" ||
    { cat "$name.log" >&2; return 1; }
}
at_least() { awk -v got="$(field test_accuracy "$1.json")" -v least="$2" 'BEGIN { exit !(got >= least) }'; }
# replayed NAME [OPTION...]: on one node, with the digest of the run
replayed() {
  local name=$1
  shift
  dl-coord -q --replay "$name" --json "$@" >"$name.replay" 2>"$name.log" || { cat "$name.log" >&2; return 1; }
  same "$(field params_sha256 "$name.replay")" "$(field params_sha256 "$name.json")"
}
differ() { [ -n "$1" ] && [ -n "$2" ] && [ "$1" != "$2" ]; }

fact "sync: one node trains" train sync --spawn 1 --epochs 20
for nodes in 1 2 3 4; do
  fact "$nodes nodes: train" train "n$nodes" --mode async --spawn $nodes --epochs 20
  fact "$nodes nodes: at least 0.92" at_least "n$nodes" 0.92
  fact "$nodes nodes: a replay has the same bits" replayed "n$nodes" --kernel scalar
  fact "$nodes nodes: and the same judgement" same "$(field test_accuracy "n$nodes.replay")$(field train_loss "n$nodes.replay")" \
    "$(field test_accuracy "n$nodes.json")$(field train_loss "n$nodes.json")"
  fact "staleness 0, $nodes nodes: train" train "zero$nodes" --mode async --max-staleness 0 --spawn $nodes --epochs 20
  fact "staleness 0, $nodes nodes: sync's bits" same "$(field params_sha256 "zero$nodes.json")" "$(field params_sha256 sync.json)"
done
for name in inf compensated adam adaptive; do
  case $name in
    inf) more='--max-staleness inf' ;;
    compensated) more='--max-staleness 4 --delay-compensation 0.5' ;;
    adam) more='--optimizer adam --lr 0.005' ;;
    adaptive) more='--assign adaptive --patience 0' ;;
  esac
  fact "$name: trains" train "$name" --mode async --spawn 3 --epochs 20 $more
  fact "$name: at least 0.92" at_least "$name" 0.92
  fact "$name: a replay has the same bits" replayed "$name"
done

for name in int8 topk both; do
  case $name in
    int8) more='--compress int8' ;;
    topk) more='--compress topk=0.1' ;;
    both) more='--compress int8 --groups 3 --clip 0.5 --max-staleness 4 --delay-compensation 0.5' ;;
  esac
  fact "$name: trains" train "$name" --mode async --spawn 3 --epochs 20 $more
  fact "$name: at least 0.92" at_least "$name" 0.92
  fact "$name: a replay has the same bits" replayed "$name" --kernel scalar
  [ $name != both ] || more='--compress int8 --groups 3 --clip 0.5'
  fact "$name, sync: trains" train "$name-sync" --spawn 1 --epochs 20 $more
  fact "$name, staleness 0: trains" train "$name-zero" --mode async --max-staleness 0 --spawn 3 --epochs 20 $more
  fact "$name, staleness 0: sync's bits" same "$(field params_sha256 "$name-zero.json")" "$(field params_sha256 "$name-sync.json")"
done

# begin NAME OPTION...: in the background, as $coord; returns when there is a checkpoint
begin() {
  local name=$1
  shift
  setsid dl-coord "${options[@]}" --optimizer momentum --lr 0.05 --mode async -o "$name" "$@" >"$name.json" 2>"$name.log" &
  coord=$!
  until_true 20 grep -qE '"event": *"(checkpoint|done)"' "$name.json" || { cat "$name.log"; return 1; }
}
ended() { wait $coord || { cat "$1.log"; return 1; }; }

# One of three nodes stands still again and again, for up to a third of a second.
slowed() {
  begin slowed --epochs 150 --checkpoint-every 40 --spawn 3 || return 1
  local times=0 pid
  while ! grep -q '"event": *"done"' slowed.json && [ $times -lt 200 ] && kill -0 $coord; do
    pid=$(pgrep -P $coord dl-node | sort -n | sed -n 2p)
    [ -n "$pid" ] || break
    kill -STOP "$pid"; sleep 0.$((RANDOM % 30 + 10)); kill -CONT "$pid"
    sleep 0.0$((RANDOM % 9 + 1))
    times=$((times + 1))
  done
  ended slowed && [ $times -gt 2 ] || { echo "  stood still $times times"; return 1; }
  ! grep -q '"event": *"lost"' slowed.json
}
fact "a node that is slowed at random: the run ends" slowed
fact "sync: as long" train long --spawn 1 --epochs 150
fact "it has other bits than sync" differ "$(field params_sha256 slowed.json)" "$(field params_sha256 long.json)"
fact "a replay on one node has the same bits" replayed slowed

killed() {
  begin killed --epochs 400 --checkpoint-every 20 --spawn 3 || return 1
  pkill -9 -P $coord -n dl-node || return 1
  ended killed && grep -q '"event": *"lost"' killed.json
}
fact "a killed node: the run goes back to its checkpoint, and ends" killed
fact "a killed node: at least 0.92" at_least killed 0.92
fact "a killed node: a replay has the same bits" replayed killed
fact "a killed node: every sample was used once in each epoch" dl-eval -q --audit killed

# The same where gradients are compressed and clipped: what groups hold back goes back with the parameters.
killed_compressed() {
  begin lean --epochs 400 --checkpoint-every 20 --spawn 3 --compress topk=0.1 --clip 1 || return 1
  pkill -9 -P $coord -n dl-node || return 1
  ended lean && grep -q '"event": *"lost"' lean.json
}
fact "compressed, a killed node: the run goes back to its checkpoint, and ends" killed_compressed
fact "compressed, a killed node: a replay has the same bits" replayed lean
fact "compressed, a killed node: every sample was used once in each epoch" dl-eval -q --audit lean

# The rate falls over the run's whole length: a run that is made longer has had two lengths.
stopped() {
  begin stopped --schedule cosine --epochs 4000 --spawn 3 || return 1
  kill -TERM $coord
  local code=0
  wait $coord || code=$?
  same $code 143
}
digest_of() { dl-coord -q --replay "$1" --json 2>/dev/null | sed -n 's/.*"done".*"params_sha256": *"\([0-9a-f]*\)".*/\1/p'; }
fact "stopped by a signal: 143" stopped
fact "stopped: a replay has the bits of its newest checkpoint" test -n "$(digest_of stopped)"
steps=$(dl-coord --status stopped --json | sed -n 's/.*"checkpoint_step": *\([0-9]*\).*/\1/p')
fact "resumed on other nodes, for longer: the run ends" train stopped --mode async --schedule cosine --steps $((steps + 300)) --spawn 2
fact "resumed: a replay has the same bits" replayed stopped

stopped_compressed() {
  begin halved --epochs 4000 --spawn 3 --compress int8 || return 1
  kill -TERM $coord
  local code=0
  wait $coord || code=$?
  same $code 143
}
fact "compressed, stopped by a signal: 143" stopped_compressed
steps=$(dl-coord --status halved --json | sed -n 's/.*"checkpoint_step": *\([0-9]*\).*/\1/p')
fact "compressed, resumed on other nodes: the run ends" train halved --mode async --compress int8 --steps $((steps + 300)) --spawn 2
fact "compressed, resumed: a replay has the same bits" replayed halved

lost_coordinator() {
  begin headless --epochs 4000 --checkpoint-every 30 --spawn 2 || return 1
  kill -9 $coord
  wait $coord 2>/dev/null
  local step
  step=$(dl-coord --status headless --json | sed -n 's/.*"checkpoint_step": *\([0-9]*\).*/\1/p')
  train headless --mode async --checkpoint-every 30 --steps $((step + 200)) --spawn 3
}
fact "a killed coordinator: the same command goes on" lost_coordinator
fact "a killed coordinator: a replay has the same bits" replayed headless

# What cannot be replayed says so in one line, before a node is started.
refused() {
  local code=$1 out
  shift
  out=$(dl-coord --replay "$@" 2>&1)
  [ $? = "$code" ] && [ "$(echo "$out" | wc -l)" = 1 ] || { echo "  $out"; return 1; }
}
cp -r n3 cut && truncate -s -1 cut/updates.log
fact "a log that is cut short: 65" refused 65 cut
cp -r n3 damaged && printf '\377' | dd of=damaged/updates.log bs=1 seek=300 conv=notrunc status=none
fact "a damaged log: 65" refused 65 damaged
cp -r n3 other && cp n2/updates.log other/
fact "the log of another run: 76" refused 76 other
cp -r n3 version && printf '\003' | dd of=version/updates.log bs=1 seek=8 conv=notrunc status=none
fact "a log of another version: 76" refused 76 version
cp -r n3 without && rm without/updates.log
fact "no log: 66" refused 66 without
fact "a run of another mode: 64" refused 64 sync
fact "no run: 66" refused 66 nothing
dl-shard -q -n 4 -o others "$digits" >/dev/null
fact "other data: 76" refused 76 n3 --data others
fact "options of a run: 64" refused 64 n3 --epochs 3
fact "a run whose log is gone is not gone on with" exits 66 dl-coord "${options[@]}" --optimizer momentum --lr 0.05 \
  --mode async -o without --spawn 3 --epochs 25

bad() { exits 64 dl-coord "${options[@]}" -o bad --spawn 1 "$@"; }
fact "powersgd: 64" bad --mode async --compress powersgd=2
fact "staleness out of range: 64" bad --mode async --max-staleness 1001
fact "staleness that is no number: 64" bad --mode async --max-staleness -1
fact "staleness of another mode: 64" bad --max-staleness 2
fact "compensation of another mode: 64" bad --mode local --delay-compensation 0.1
fact "compensation of any staleness: 64" bad --mode async --max-staleness inf --delay-compensation 0.1
fact "another staleness than the run's: 76" exits 76 dl-coord "${options[@]}" --optimizer momentum --lr 0.05 \
  --mode async -o n3 --spawn 3 --epochs 25 --max-staleness 3
finish
