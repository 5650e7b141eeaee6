#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The units of share/systemd: their command lines do what they say, and they are shut in.
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 70
units=$source/share/systemd
line_of() { sed -n 's/^ExecStart=//p' "$units/$1"; }

mkdir -p state/digits && cd state/digits || exit 70
dl-shard -q -o shards "$digits" >/dev/null || exit 70
cat >run.conf <<'CONF'
# what the unit trains
data = shards
model = dense 64 relu
spawn = 2
steps = 3000
CONF
night() {  # CODE TIME: the unit's own line, but for the length of the night
  exits "$1" sh -c "$(line_of dl@.service | sed "s/50m/$2/")" >out 2>err || { cat err; return 1; }
}
fact "its nights have 50 minutes" sh -c "grep -q -- '--deadline 50m' '$units/dl@.service'"
sed -i 's/3000/1000000/' run.conf
fact "a night that is too short: 75, which the unit takes for success" night 75 2s
fact "indeed" grep -qx 'SuccessExitStatus=75' "$units/dl@.service"
sed -i 's/1000000/3000/' run.conf
fact "the next one begins" sh -c 'rm -r run'
fact "and is done" night 0 50m
fact "it says so, and nothing else" sh -c '[ ! -s err ] && grep -q "^steps *3,000" out'
fact "once more: nothing to do" night 0 50m

node() {
  local c
  (exec dl-coord -q --data shards --model 'dense 64 relu' --steps 500 --nodes 1 --listen 127.0.0.1:0 -o far >far.txt) & c=$!
  until_true 20 test -s far/address || return 1
  sh -c "$(line_of dl-node@.service | sed "s#%i#$(cat far/address)#; s#/etc/dl/key#far/key#; s#%C#$PWD#")" || return 1
  wait $c && grep -q '^steps *500' far.txt
}
fact "a node of a run elsewhere" node

score() {  # UNIT
  local said
  said=$(systemd-analyze security --offline=yes "$units/$1" 2>&1 | tail -n 1)
  echo "  $said"
  awk '{ for (i = 1; i < NF; ++i) if ($i ~ /^level$/) found = 1; for (i = 1; i <= NF; ++i) if ($i ~ /^[0-9.]+$/) s = $i }
    END { exit !(found && s > 0 && s < 3.0) }' <<<"$said"
}
if command -v systemd-analyze >/dev/null; then
  fact "dl@.service scores below 3" score dl@.service
  fact "dl-node@.service scores below 3" score dl-node@.service
  verified() { ! systemd-analyze verify "$units/dl@.service" "$units/dl@.timer" "$units/dl-node@.service" 2>&1 | grep -v -e "'man " -e 'is not executable'; }
  fact "nothing in them is unknown to systemd" verified
else
  echo "skipped: no systemd-analyze here"
fi
finish
