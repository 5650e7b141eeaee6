#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Nodes without data fetch it: the same bits, whatever is missing, damaged, killed or full.
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 70
export XDG_CACHE_HOME=$scratch/xdg

dl-shard -q -n 8 -o shards "$digits" >/dev/null || exit 70
steps=300 data=shards
in_background=
coord() {  # in the background, $! is dl-coord itself
  $in_background dl-coord -q --data $data --model 'dense 32 relu' --batch 128 --steps $steps --checkpoint-every 100 --json "$@"
}
wanted=$(coord -o alone --spawn 1 >alone.json && field params_sha256 alone.json)
fact "a node that sees the shards" test ${#wanted} = 64
fact "a node that sees the shards keeps nothing" test ! -e xdg

open_run() {  # open_run NAME NODES: a coordinator in the background; $c, $address
  in_background=exec coord -o "$1" --listen 127.0.0.1:0 --nodes "$2" --assign round-robin >"$1.json" 2>"$1.log" &
  c=$!
  until_true 10 test -s "$1/address" || return 1
  address=$(cat "$1/address")
  export DL_KEY_FILE=$1/key
}
# ended NAME NODE...: coordinator and nodes have ended well, with the wanted bits
ended() {
  local name=$1 node
  shift
  wait $c || { cat "$name.log"; return 1; }
  for node in "$@"; do wait "$node" || { cat "$name".*log; return 1; }; done
  same "$(field params_sha256 "$name.json")" "$wanted"
}
kept() { ls "$1" 2>/dev/null | wc -l; }

fetched() {  # fetched NODES: each with a cache of its own
  local n nodes=()
  open_run "f$1" "$1" || return 1
  for n in $(seq "$1"); do
    dl-node --coord "$address" --fetch --cache "c$1-$n" 2>"f$1.$n.log" &
    nodes+=($!)
  done
  ended "f$1" "${nodes[@]}"
}
fact "one node without data: the same bits" fetched 1
fact "one node keeps manifest, test part and all shards" test "$(kept c1-1)" = 10
fact "two nodes without data: the same bits" fetched 2
fact "two nodes keep their own shards only" test "$(kept c2-1) $(kept c2-2)" = "6 6"
fact "three nodes without data: the same bits" fetched 3
fact "three nodes together keep each shard once" test $(($(kept c3-1) + $(kept c3-2) + $(kept c3-3))) = 14

shared() {  # the second start finds everything in the cache; the usual one
  local first second
  open_run "$1" 2 || return 1
  dl-node --coord "$address" --fetch 2>"$1.1.log" & first=$!
  dl-node --coord "$address" --fetch 2>"$1.2.log" & second=$!
  ended "$1" $first $second
}
fact "two nodes that share the usual cache: the same bits" shared shared
fact "the usual cache is XDG's" test "$(kept xdg/dl)" = 10
fact "nobody else may look into it" test "$(stat -c %a xdg/dl)" = 700
fact "two nodes with a full cache: the same bits" shared again
fact "two nodes with a full cache fetch nothing" sh -c '! grep -q fetched again.*.log'

shard=$(sha256sum shards/shard-0003.dls | cut -d' ' -f1)
damaged() {
  printf x | dd of="xdg/dl/$shard" bs=1 seek=999 conv=notrunc 2>/dev/null
  truncate -s 100 "xdg/dl/$(sha256sum shards/shard-0004.dls | cut -d' ' -f1)"
  shared damaged || return 1
  same "$(sha256sum <"xdg/dl/$shard" | cut -d' ' -f1)" "$shard" || return 1
  same "$(cat damaged.*.log | grep -c fetched)" 2
}
fact "files that are damaged in the cache are fetched anew" damaged

partial() {  # --data DIR lacks two files
  mkdir part && cp shards/* part && rm part/shard-0001.dls part/test.dls
  open_run partial 1 || return 1
  dl-node --coord "$address" --data part --cache cp 2>partial.1.log &
  ended partial $! || return 1
  same "$(kept cp)" 2
}
fact "what --data lacks is fetched, and nothing else" partial

refused() {  # refused CODE WORDS NODE-OPTION...: the node ends so, and the run does not depend on it
  local code=$1 words=$2 got=0
  shift 2
  rm -rf refused && open_run refused 1 || return 1
  "${around[@]}" dl-node --coord "$address" "$@" 2>refused.1.log || got=$?
  kill -TERM $c 2>/dev/null  # unless the node has ended it
  wait $c
  [ $got = "$code" ] && grep -q -e "$words" refused.1.log || { echo "  $got"; cat refused.1.log; return 1; }
}
around=()
: >file
cp -r shards bad && printf x | dd of=bad/shard-0001.dls bs=1 seek=999 conv=notrunc 2>/dev/null
mkdir none
fact "a wrong file in --data is 65" refused 65 'bad/shard-0001.dls: its SHA-256' --data bad --cache c-bad
fact "a --data without a manifest is 66" refused 66 'none/manifest.json' --data none --cache c-none
fact "a cache that cannot be made is 73" refused 73 '--cache DIR takes another' --fetch --cache file/x
around=(env -u XDG_CACHE_HOME -u HOME)
fact "no place for a cache is 73" refused 73 '--cache DIR does' --fetch
limited() { (ulimit -f 8; trap '' XFSZ; exec "$@"); }
around=(limited)
fact "a cache on a full disk is 74" refused 74 'c-full/' --fetch --cache c-full
fact "a cache on a full disk has no halves" test -z "$(find c-full -type f -size +4k)"
fact "--fetch with --data is 64" exits 64 dl-node --coord 127.0.0.1:1 --fetch --data shards

gone() {
  cp -r shards going
  data=going
  open_run gone 1 || return 1
  rm going/shard-0005.dls
  exits 66 dl-node -q --coord "$address" --fetch --cache c-gone 2>gone.1.log || return 1
  exits 66 wait $c || return 1
  data=shards
  grep -q 'going/shard-0005.dls: No such file' gone.log || { cat gone.log; return 1; }
}
fact "a file that is gone at the coordinator ends the run with 66 and its name" gone
data=shards

takeover() {
  local a b
  steps=6000
  open_run takeover 2 || return 1
  dl-node -q --coord "$address" --fetch --cache ta 2>takeover.1.log & a=$!
  dl-node -q --coord "$address" --fetch --cache tb 2>takeover.2.log & b=$!
  until_true 20 grep -q first_step takeover.json || return 1
  kill -9 $b
  wanted=$(coord -o long --spawn 1 >long.json && field params_sha256 long.json)
  ended takeover $a && same "$(kept ta)" 10
}
fact "a survivor fetches what it takes over: the same bits" takeover

# A shard so large that a fetch can be met in its middle: 100 MB, images of zeros.
{ printf '\0\0\10\3\0\0\17\240\0\0\31\0\0\0\0\1'; head -c 25600000 /dev/zero; } >images
{ printf '\0\0\10\1\0\0\17\240'; yes "$(printf '\1\2')" | tr -d '\n' | head -c 4000; } >labels
dl-shard -q -n 1 --test 0 --scale none --labels labels -o large images >/dev/null || exit 70
steps=2 data=large
halfway() { ls -A "$1" 2>/dev/null | grep -q "^\.$large.*tmp$"; }
large=$(sha256sum large/shard-0000.dls | cut -d' ' -f1)
wanted=$(coord -o large1 --spawn 1 >large1.json && field params_sha256 large1.json)

killed() {
  local node
  open_run killed 1 || return 1
  dl-node -q --coord "$address" --fetch --cache ck 2>killed.1.log & node=$!
  until_true 20 halfway ck || return 1
  kill -9 $node
  wait $node 2>/dev/null
  [ ! -e "ck/$large" ] || { echo "  it was too quick"; return 1; }
  dl-node -q --coord "$address" --fetch --cache ck 2>killed.2.log &
  ended killed $!
}
fact "a node killed in the middle of a fetch leaves nothing that another takes for whole" killed

left_alone() {
  local node
  rm -rf lost && open_run lost 1 || return 1
  dl-node -q --coord "$address" --fetch --cache cl 2>lost.1.log & node=$!
  until_true 20 halfway cl || return 1
  kill -9 $c
  wait $c 2>/dev/null
  exits 69 wait $node || return 1
  ! halfway cl && [ ! -e "cl/$large" ]
}
fact "a coordinator lost in the middle of a fetch is 69, and nothing is left of the file" left_alone

leaves() {
  local node
  open_run leaves 1 || return 1
  dl-node -q --coord "$address" --fetch --cache ct 2>leaves.1.log & node=$!
  until_true 20 halfway ct || return 1
  kill -TERM $node
  exits 143 wait $node || return 1
  kill -TERM $c
  exits 143 wait $c
}
fact "a node that is asked to leave in the middle of a fetch does" leaves
finish
