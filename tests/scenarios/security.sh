#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Who has the run's key is in; everybody else is told so, and gets nothing.
. "$(dirname "$0")/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
cd "$scratch" || exit 70

dl-shard -q -n 4 -o shards "$digits" >/dev/null || exit 70
in_background=
coord() { $in_background dl-coord --data shards --model 'dense 32 relu' --batch 128 --json "$@"; }
# says CODE WORDS COMMAND...: it ends so, and its one line has these words
says() {
  local code=$1 words=$2
  shift 2
  exits "$code" "$@" 2>said.err && grep -q -- "$words" said.err || { cat said.err; return 1; }
}

# The bits, whatever carries them.
bits() {
  coord -q -o "$@" --steps 60 >"$1.json" 2>"$1.log" || { cat "$1.log" >&2; return 1; }
  field params_sha256 "$1.json"
}
wanted=$(bits alone --spawn 1)
fact "one node" test ${#wanted} = 64
fact "two nodes over TLS: the same bits" same "$(bits tls --spawn 2 --transport tcp)" "$wanted"
fact "two nodes without a key: the same bits" same "$(bits plain --spawn 2 --transport tcp --insecure)" "$wanted"
fact "--insecure within the host, with -q: nothing is said" test ! -s plain.log
fact "--insecure says so, on both sides" sh -c 'dl-coord --data shards --model "dense 32 relu" --batch 128 -o plain2 --steps 60 --spawn 1 --insecure 2>&1 >/dev/null | grep -c "warning: --insecure" | grep -qx 2'
reachable() {  # from other hosts: said even with -q, by the coordinator, and by a node that comes another way than the loopback
  in_background=exec coord -q -o reached --steps 60 --insecure --listen 0.0.0.0:0 --nodes 1 >reached.json 2>reached.log & local c=$!
  until_true 10 test -s reached/address || return 1
  dl-node -q --coord "0.0.0.0:$(sed 's/.*://' reached/address)" --insecure 2>node.log && wait $c || return 1
  same "$(cat reached.log)" "dl-coord: --insecure: nothing is encrypted, and whoever reaches $(grep -o '0\.0\.0\.0:[0-9]*' reached.log) can join this run" &&
    same "$(cat node.log)" "dl-node: --insecure: nothing is encrypted, and nobody has to show a key"
}
fact "where others reach it, even with -q" reachable
fact "a run without a key has none" test ! -e plain/key
by_hand() {  # another address than 127.0.0.1, as between machines
  in_background=exec coord -q -o hand --steps 60 --listen 127.0.0.2:0 --nodes 2 >hand.json & local c=$!
  until_true 10 test -s hand/address || return 1
  dl-node -q --coord "$(cat hand/address)" --key hand/key --transport tcp & local one=$!
  DL_KEY_FILE=hand/key dl-node -q --coord "$(cat hand/address)" & local two=$!
  wait $c && wait $one && wait $two && same "$(field params_sha256 hand.json)" "$wanted"
}
fact "two nodes by hand, by --key and DL_KEY_FILE: the same bits" by_hand

# Nodes of one host go on over a Unix socket, whatever others of their group do.
neighbours() {
  in_background=exec coord -q -o near --steps 60 --nodes 3 >near.json & local c=$! how nodes=
  until_true 10 test -s near/address || return 1
  for how in auto auto tcp; do
    dl-node -v --coord "$(cat near/address)" --key near/key --transport $how 2>>near.$how & nodes="$nodes $!"
  done
  wait $c && wait $nodes && same "$(field params_sha256 near.json)" "$wanted"
}
fact "two neighbours and one that wants TCP: the same bits" neighbours
fact "the two say that they talk over a Unix socket" test "$(grep -cE ', unix and tcp(,|$)' near.auto)" = 2
fact "the third one does not" sh -c 'grep -qE ", tcp(,|$)" near.tcp && ! grep -q unix near.tcp'
fact "told to use TCP, neighbours have none" sh -c '
  dl-coord -v --data shards --model "dense 32 relu" --batch 128 -o told --steps 5 --spawn 2 --transport tcp >/dev/null 2>told.log
  grep -q "rank 0 of 2, tcp" told.log && ! grep -q unix told.log'

# unix_names PID...: the names of abstract sockets that these processes have
unix_names() {
  local inodes
  inodes=$(for pid in "$@"; do find /proc/$pid/fd -lname 'socket:*' -printf '%l\n'; done | tr -dc '0-9\n' | tr '\n' ' ')
  awk -v inodes=" $inodes" 'index(inodes, " " $7 " ") && $8 ~ /^@dl-/ {print substr($8, 2)}' /proc/net/unix | sort -u
}
# Killed: no name stays, in the network's list or in a file system.
killed() {
  in_background=exec coord -q -o killed --mode async --epochs 100000 --nodes 2 >killed.json 2>/dev/null & local c=$! one two names
  until_true 10 test -s killed/address || return 1
  dl-node -v --coord "$(cat killed/address)" --key killed/key 2>>killed.log & one=$!
  dl-node -v --coord "$(cat killed/address)" --key killed/key 2>>killed.log & two=$!
  until_true 10 grep -q 'rank . of 2, shared memory and unix' killed.log || return 1
  names=$(unix_names $one $two)
  kill -9 $one $two $c
  wait $one $two $c 2>/dev/null
  [ "$(wc -w <<<"$names")" = 1 ] || { echo "  names: $names"; return 1; }
  ! grep "$names" /proc/net/unix && ! grep "$names" killed.log
}
fact "mode async over a Unix socket; killed, its name is nowhere" killed

# The key.
fact "the key is for its owner alone" test "$(stat -c %a alone/key)" = 600
fact "it is 64 digits and a line end" test "$(grep -cE '^[0-9a-f]{64}$' alone/key) $(stat -c %s alone/key)" = "1 65"
fact "no two runs have the same" test "$(cat alone/key)" != "$(cat tls/key)"
fact "it is in no other file of the run, and in no log" \
  same "$(grep -rlaF "$(cat tls/key)" tls tls.json tls.log)" tls/key
chmod 644 alone/key
fact "a key that others may read is 77 at dl-coord" says 77 'chmod 600 .*alone/key' coord -o alone --steps 70 --spawn 1
fact "and at dl-node" says 77 'chmod 600 alone/key' dl-node --coord 127.0.0.1:1 --key alone/key
chmod 600 alone/key
fact "a run whose key was lost makes another" sh -c 'rm tls/key && dl-coord -q --data shards --model "dense 32 relu" --batch 128 -o tls --steps 61 --spawn 1 >/dev/null && test -s tls/key'
fact "no key: 77 before anything is said" says 77 'DL_KEY_FILE' dl-node --coord 127.0.0.1:1
fact "--key and --insecure: 64" exits 64 dl-node --coord 127.0.0.1:1 --insecure --key alone/key
fact "no such key: 66" exits 66 dl-node --coord 127.0.0.1:1 --wait 100ms --key nowhere

# A run that waits for a node, and those who come.
in_background=exec coord -o run --steps 1000000 --listen 127.0.0.1:0 --nodes 1 --wait 1h >run.json 2>run.log & c=$!
until_true 10 test -s run/address || exit 70
address=$(cat run/address)
port=${address##*:}
fact "another run's key: 77, with address and file" says 77 "$address and the key in alone/key" \
  dl-node --coord "$address" --key alone/key
fact "without a key: 77, with what to do" says 77 'start dl-node with --key FILE' dl-node --coord "$address" --insecure
fact "a run that goes on keeps its key: 75" exits 75 dl-coord --rekey run
fact "the coordinator has counted them" grep -q '2 such so far' run.log

crowd=()
for _ in $(seq 100); do
  exec {fd}<>"/dev/tcp/127.0.0.1/$port" && crowd+=("$fd")
  { head -c 3000 /dev/urandom >"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null
done
begin=$(date +%s%N)
dl-node --coord "$address" --key run/key 2>node.log & node=$!
fact "among 100 idle and 100 garbage connections a node joins" until_true 5 grep -q '"event": *"joined"' run.json
took=$((($(date +%s%N) - begin) / 1000000))
fact "within a second (it took $took ms)" test $took -lt $((1000 * ${DL_PATIENCE:-1}))
for fd in "${crowd[@]}"; do exec {fd}>&-; done
fact "lines about them are few" test "$(grep -c 'is no node' run.log)" -lt 12
kill -TERM $node
wait $node

recorded() {  # a whole session of a node, through a wire that keeps it, and once more from there
  python3 "$here/replay.py" record "$address" wire.address session &
  until_true 5 test -s wire.address || return 1
  dl-node -q --coord "$(cat wire.address)" --key run/key & node=$!
  until_true 10 sh -c 'test "$(stat -c %s session)" -gt 2000'
  kill -9 $node; wait $node 2>/dev/null
  wait $!
  python3 "$here/replay.py" play "$address" session
}
strangers() { grep -o '"strangers": *[0-9]*' run/status.json | grep -o '[0-9]*$'; }
touch now && until_true 5 test run/status.json -nt now  # it is written once a second
counted=$(strangers)
fact "a recorded session, played again, is refused; the answer is shorter than a greeting" recorded
one_more() { [ "$(strangers)" = $((counted + 1)) ]; }
fact "and the coordinator counts it" until_true 5 one_more
kill -TERM $c
wait $c
fact "--rekey gives a new key" sh -c 'cp run/key old && chmod 600 old && dl-coord -q --rekey run && ! cmp -s run/key old && test "$(stat -c %a run/key)" = 600'
fact "--rekey where there is no run: 66" exits 66 dl-coord --rekey nowhere

insecure() {
  in_background=exec coord -q -o open --steps 60 --insecure --listen 127.0.0.1:0 --nodes 1 >open.json 2>open.log & c=$!
  until_true 10 test -s open/address || return 1
  says 77 'it speaks without a key' dl-node --coord "$(cat open/address)" --key alone/key || return 1
  dl-node -q --coord "$(cat open/address)" --insecure && wait $c && same "$(field params_sha256 open.json)" "$wanted"
}
fact "a node with a key at a coordinator without one: 77; --insecure on both sides: the same bits" insecure
finish
