#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Wires that are slow, cut bytes into slices, break, close half, or change a bit: the run ends with the bits of an
# undisturbed one, and what was changed is named, under the key and without it.
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 70

dl-shard -q -n 8 -o shards "$digits" >/dev/null || exit 70
steps=$((6000 / ${DL_PATIENCE:-1}))
coord() {
  exec dl-coord --data shards --model 'dense 64 relu; dense 32 relu' --batch 128 --optimizer adam --lr 0.001 \
    --steps $steps --checkpoint-every 500 --json "$@"
}
wanted=$( (coord -q -o calm --spawn 1 >calm.json) && field params_sha256 calm.json)
fact "the undisturbed run ends" test ${#wanted} = 64

# wired KIND TIMES [OPTION]: two nodes, the second one behind a wire that has this fault so many times
wired() {
  local name=$1${3:-} kind=$1 times=$2 c w near far code=0
  shift 2
  coord -o "$name" --listen 127.0.0.1:0 --nodes 2 "$@" >"$name.json" 2>"$name.log" & c=$!
  until_true 20 test -s "$name/address" || { cat "$name.log"; return 1; }
  rm -f "$name.wire"
  python3 "$source/tests/support/faulty_wire.py" "$name.wire" "$name/address" "$kind" 3 "$times" >"$name.faults" & w=$!
  until_true 20 test -s "$name.wire" || return 1
  local key=(--key "$name/key")
  [ $# = 0 ] || key=("$@")
  dl-node --coord "$(cat "$name/address")" "${key[@]}" 2>"$name.near" & near=$!
  # A node that is sent away before it knows the run has no reason to come again by itself.
  (until dl-node --coord "$(cat "$name.wire")" "${key[@]}" --wait 20s 2>>"$name.far"; do
    kill -0 "$c" 2>/dev/null || exit 0
    sleep 0.05
  done) & far=$!
  wait $c || code=$?
  kill -9 $w 2>/dev/null
  wait $near $far $w 2>/dev/null
  [ $code = 0 ] || { tail -n 5 "$name.log" "$name.far"; return 1; }
  same "$(field params_sha256 "$name.json")" "$wanted" || return 1
  dl-eval --audit "$name" >audit.txt || { cat audit.txt; return 1; }
}
fact "delayed: the same bits" wired delay 0
fact "throttled: the same bits" wired throttle 0
fact "in slices: the same bits" wired slice 0
fact "cut eight times: the same bits" wired cut 8
fact "closed on one side eight times: the same bits" wired half-close 8
fact "eight times another bit: the same bits" wired corrupt 8
fact "and without TLS: the frames' checksums see it" wired corrupt 8 --insecure
named() {  # KIND: each fault that reached anybody has left a word
  [ "$(wc -l <"$1.faults")" -ge 3 ] || { echo "  $(wc -l <"$1.faults") faults happened"; return 1; }
  cat "$1.log" "$1.far" | grep -Eq 'lost|is no node|do not belong together|closed|checksum' || { cat "$1.log" "$1.far"; return 1; }
}
for kind in cut half-close corrupt corrupt--insecure; do fact "$kind: it happened, and somebody said so" named $kind; done
finish
