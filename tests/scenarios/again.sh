#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A run that is started again: from elsewhere, moved, with damaged checkpoints; and looked at and stopped by others.
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 70

dl-shard -q -n 4 -o shards "$digits" >/dev/null || exit 70
shards=$PWD/shards
in_background= as=
coord() { $in_background $as dl-coord -q --data "$shards" --model 'dense 8 relu' --batch 128 --spawn 1 --checkpoint-every 20 --json "$@"; }
lines() { wc -l <"$1"; }

coord -o run --steps 100 >first.json || exit 70
wanted=$(field params_sha256 first.json)
cp run/run.json known.json
unchanged() { cmp "$scratch/known.json" "$1/run.json"; }
# as_complete RUN: asked again with this name for its directory, it says what it said, and the checkpoint's name is of use
as_complete() {
  coord -o "$1" --steps 100 >done.json 2>err && [ ! -s err ] && [ "$(lines done.json)" = 1 ] || { cat err; return 1; }
  same "$(field params_sha256 done.json)" "$wanted" && same "$(field checkpoint done.json)" "$1/step-000000000100.safetensors" &&
    test -f "$(field checkpoint done.json)" && unchanged "$1"
}
fact "complete: called as before" as_complete run
elsewhere() { mkdir below && cd below && as_complete ../run; }
fact "from another directory" elsewhere
cd "$scratch" || exit 70
fact "by its whole path" as_complete "$PWD/run"
moved() { mkdir there && mv run there/moved && as_complete there/moved; }
fact "moved" moved
status_of_moved() {
  dl-coord --status there/moved --json >status.json && grep -q '"state":"complete"' status.json &&
    same "$(grep -o '"checkpoint":"there/moved/step-000000000100.safetensors"' status.json | wc -l)" 2 || { cat status.json; return 1; }
}
fact "and its --status says so, with the checkpoint where it is" status_of_moved
mv there/moved run
cannot_go_on() {  # without a key there is nobody who could
  exits 69 dl-coord -q --data "$shards" --model 'dense 8 relu' --batch 128 --nodes 1 --wait 100ms --checkpoint-every 20 \
    -o run --steps 100 >out 2>err && [ ! -s out ]
}
mv run/step-000000000100.safetensors away
fact "its last checkpoint is away, and no node comes: 69" cannot_go_on
fact "then it is not complete" sh -c 'dl-coord --status run | grep -q "^state *stopped"'
mv away run/step-000000000100.safetensors
complete_again() { coord -o run --steps 100 >done.json && same "$(field params_sha256 done.json)" "$wanted"; }
fact "put back, it is complete again" complete_again

# damage FILE...: another value of the byte in the middle of each
damage() {
  local file at byte
  for file in "$@"; do
    at=$(($(stat -c %s "$file") / 2))
    byte=$(od -An -tu1 -j $at -N 1 "$file")
    printf "\\x$(printf %02x $((byte ^ 1)))" | dd of="$file" bs=1 seek=$at conv=notrunc status=none
  done
}
damage run/step-000000000100.safetensors
newest_damaged() {
  coord -o run --steps 120 >120.json 2>err && [ "$(lines err)" = 1 ] &&
    grep -q 'passed over: run/step-000000000100.safetensors: ' err || { cat err; return 1; }
  grep -q '"event":"group","generation":2,"step":80,' 120.json && same "$(field steps 120.json)" 120
}
fact "a damaged checkpoint is passed over, which is said even with -q" newest_damaged

damage run/step-*.safetensors
sha256sum run/step-*.safetensors >sums
refused() {  # CODE
  exits "$1" coord -o run --steps 140 >out 2>err || { cat err; return 1; }
  [ ! -s out ] && sha256sum --quiet -c sums && [ ! -e run/address ] || { cat out; return 1; }
  for file in run/step-*.safetensors; do grep -q "passed over: $file: " err || { cat err; return 1; }; done
  tail -n 1 err | grep -q 'run: 3 checkpoints are there, and none can be loaded (.*); to begin again at step 0, move' ||
    { cat err; return 1; }
}
fact "no checkpoint loads: 65, each is named, and they stay as they are" refused 65
begins() {
  mkdir damaged && mv run/step-*.safetensors damaged/ && coord -o run --steps 100 >begun.json 2>err && [ ! -s err ] &&
    grep -q '"event":"group","generation":[0-9]*,"step":0,' begun.json && same "$(field params_sha256 begun.json)" "$wanted" &&
    dl-eval --audit run >/dev/null
}
fact "moved away, it begins at step 0, to the same bits" begins
if [ -z "$no_modes" ]; then
  chmod 000 run/step-*.safetensors
  unreadable() {
    as=$by_modes exits 74 coord -o run --steps 140 >out 2>err && tail -n 1 err | grep -q 'Permission denied); to begin' ||
      { cat err; return 1; }
  }
  fact "none can be read: 74" unreadable
  chmod 644 run/step-*.safetensors
else
  echo "skipped: checkpoints that cannot be read (setpriv cannot take from root what the modes forbid)"
fi

# Who looks at it from outside.
in_background=exec coord -o busy --steps 100000000 >busy.json 2>/dev/null & c=$!
until_true 20 grep -q first_step busy.json || exit 70
seen() {
  $by_modes dl-coord --status busy --json >status.json || return 1
  grep -q "\"state\":\"running\",\"pid\":$c,\"host\":\"$(uname -n)\"" status.json || { cat status.json; return 1; }
}
chmod 444 busy/lock
fact "--status needs no right to write, and names process and host" seen
fact "RUN/lock has both" same "$(cat busy/lock)" "$c $(uname -n)"
fact "--stop, from here" dl-coord -q --stop busy
stopped() { local code=0; wait $c || code=$?; [ $code = 143 ]; }
fact "ends it with 143" stopped
looked_at() {  # a lock for reading, as --status takes it, here for longer than that
  flock -s run/lock sleep 0.3 & local reader=$!
  until_true 5 sh -c '! flock -x -n run/lock true'
  coord -o run --steps 100 >/dev/null && wait $reader
}
fact "who only looks keeps nobody from starting" looked_at
on_another_host() {
  flock run/lock sh -c 'echo "$$ elsewhere" >run/lock; exec sleep 30' & local holder=$! inner
  until_true 5 grep -q elsewhere run/lock || return 1
  inner=$(cut -d' ' -f1 run/lock)
  exits 69 dl-coord --stop run 2>err && grep -q "it runs on 'elsewhere' (pid $inner)" err && kill -0 "$inner" || { cat err; return 1; }
  exits 75 coord -o run --steps 100 2>err && grep -q "pid $inner on 'elsewhere'" err || { cat err; return 1; }
  kill "$inner"; wait $holder
  return 0
}
fact "--stop where another machine runs it: 69, with its name, and no signal" on_another_host
finish
