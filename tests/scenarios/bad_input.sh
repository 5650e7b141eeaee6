#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Bad input: one clear line, the right exit code, nothing half-written.
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 70

# refuses CODE WORD COMMAND...: exit code, one line on stderr that contains WORD
refuses() {
  local code=$1 word=$2 got=0
  shift 2
  "$@" >out.txt 2>err.txt || got=$?
  [ "$got" = "$code" ] || { echo "  exit $got instead of $code: $*"; cat err.txt; return 1; }
  grep -qF -- "$word" err.txt || { echo "  no '$word' in:"; cat err.txt; return 1; }
  [ "$(wc -l <err.txt)" -le 2 ] || { echo "  more than a line or two:"; cat err.txt; return 1; }
}
# shard_refuses NAME CODE WORD OPTION...: and leaves no output directory with anything in it
shard_refuses() {
  local name=$1 code=$2 word=$3
  shift 3
  rm -rf out
  fact "dl-shard: $name" refuses "$code" "$word" dl-shard -q -o out "$@"
  fact "dl-shard: $name: nothing left" test -z "$(ls -A out 2>/dev/null)"
}

: >empty.csv
printf '1,2,a\n3,4,b\n5,6\n' >ragged.csv
{ for i in $(seq 40); do echo "$i,2.5,a"; done; echo "41,oops,b"; } >word.csv
printf '1,nan,a\n2,3,b\n' >nan.csv
printf '1,inf,a\n2,3,b\n' >inf.csv
printf 'x,y,label\n1,2,a\n3,4,b\n' >small.csv
{ for i in $(seq 40); do echo "$i,$((i * 2)),a"; done; } >one.csv
printf '1,"2,a\n3,4,b\n' >quote.csv
shard_refuses "an empty file" 65 empty.csv empty.csv
shard_refuses "a ragged row" 65 ragged.csv -n 1 --test 0 ragged.csv
shard_refuses "a word in a number's column" 65 oops -n 2 word.csv
shard_refuses "NaN" 65 nan -n 1 --test 0 nan.csv
shard_refuses "infinity" 65 inf -n 1 --test 0 inf.csv
shard_refuses "a label column that is not there" 65 nosuch --label nosuch small.csv
shard_refuses "one class only" 65 class one.csv
shard_refuses "more shards than samples" 65 shards -n 50 --test 0 small.csv
shard_refuses "no such file" 66 nothere.csv nothere.csv
shard_refuses "an unclosed quote" 65 quote -n 1 --test 0 quote.csv
shard_refuses "an unknown option" 64 --magic --magic small.csv
shard_refuses "-n -1" 64 -1 -n -1 small.csv
shard_refuses "an option where a value belongs" 64 --json --seed --json small.csv
zcat "$digits" >digits.csv
gzip -c digits.csv | head -c 20000 >cut.csv.gz
shard_refuses "a gzip cut short" 65 cut.csv.gz cut.csv.gz
if [ "$(id -u)" != 0 ]; then
  cp digits.csv secret.csv && chmod 000 secret.csv
  shard_refuses "an unreadable file" 66 secret.csv secret.csv
fi
fact "dl-shard: an output that cannot be created" refuses 73 "" dl-shard -q -o /proc/nowhere digits.csv
disk_full() {
  (ulimit -f 20; trap '' XFSZ; exits 74 dl-shard -q -o full digits.csv >out.txt 2>err.txt) || return 1
  test -z "$(ls -A full 2>/dev/null)"
}
fact "dl-shard: a disk that fills" disk_full

dl-shard -q -n 4 -o good digits.csv >/dev/null || exit 70
cp -r good flipped
printf '\xff' | dd of=flipped/shard-0002.dls bs=1 seek=5000 conv=notrunc 2>/dev/null
fact "dl-shard --verify: a flipped bit is 1 and names the file" \
  refuses 1 shard-0002.dls dl-shard --verify flipped

in_background=
coord() {
  case "$*" in *--steps*) ;; *) set -- "$@" --steps 5 ;; esac
  $in_background dl-coord -q --model 'dense 16 relu' "$@"
}
fact "dl-coord: a flipped bit in a shard" refuses 65 shard-0002.dls coord --data flipped -o r1 --spawn 2
fact "dl-coord: no such data" refuses 66 nothere coord --data nothere -o r2 --spawn 1
fact "dl-coord: --batch 0" refuses 64 --batch coord --data good -o r3 --spawn 1 --batch 0
fact "dl-coord: --lr nan" refuses 64 --lr coord --data good -o r3 --spawn 1 --lr nan
fact "dl-coord: an unknown mode" refuses 64 --mode coord --data good -o r3 --spawn 1 --mode magic
fact "dl-coord: a model that makes no sense, with line and column" refuses 65 "2:7" \
  dl-coord -q --data good -o r3 --spawn 1 --steps 1 --model 'dense 4 relu
dense x relu'
fact "dl-coord: nothing was made for any of them" test ! -e r3/run.json
busy_port() {
  in_background=exec coord --data good -o p1 --listen 127.0.0.1:0 --nodes 1 >/dev/null 2>&1 & local c=$!
  until_true 10 test -s p1/address || return 1
  refuses 73 "$(cat p1/address)" coord --data good -o p2 --listen "$(cat p1/address)" --nodes 1
  local result=$?
  kill $c
  wait $c 2>/dev/null
  return $result
}
fact "dl-coord: a port in use" busy_port

coord --data good -o run --spawn 1 >/dev/null || exit 70
latest=$(readlink -f run/latest)
head -c 3000 "$latest" >cut.safetensors
fact "dl-eval: a truncated checkpoint" refuses 65 cut.safetensors dl-eval cut.safetensors --data good
fact "dl-eval: no such checkpoint" refuses 66 nothere dl-eval nothere --data good
printf '1,2,3\n4,5,6\n' >narrow.csv
fact "dl-eval: rows of another width" refuses 65 narrow.csv dl-eval run --data narrow.csv
damaged() {
  coord --data good -o two --steps 10 --checkpoint-every 4 --spawn 1 --json >calm.json || return 1
  rm two/step-*10.safetensors two/run.json.done 2>/dev/null
  head -c 3000 two/step-000000000008.safetensors >cut && cp cut two/step-000000000008.safetensors
  ln -sfn step-000000000008.safetensors two/latest
  coord --data good -o two --steps 12 --checkpoint-every 4 --spawn 1 --json >again.json 2>err.txt || { cat err.txt; return 1; }
  coord --data good -o whole --steps 12 --spawn 1 --json >whole.json || return 1
  same "$(field params_sha256 again.json)" "$(field params_sha256 whole.json)"
}
fact "dl-coord: a damaged newest checkpoint: the one before it serves, to the same bits" damaged
fact "a full standard output is 74" exits 74 sh -c "dl-shard --info good >/dev/full 2>err.txt"
diverges() {
  refuses 65 "not finite" dl-coord -q --data good --model 'dense 64 relu' -o boom --spawn 1 --epochs 50 --lr 1e6
}
fact "a loss that runs away is named, with what may help" diverges

fact "dl-coord: an option where a value belongs" refuses 64 "but '--json' follows" dl-coord --data --json
fact "dl-node: an option where a value belongs" refuses 64 "but '--json' follows" dl-node --coord --json
fact "dl-eval: an option where a value belongs" refuses 64 "but '--json' follows" dl-eval run --data --json
fact "dl-coord: another model in the same run directory" refuses 76 "'dense 16 relu'" \
  dl-coord -q --data good --model 'dense 8 relu' -o run --spawn 1 --steps 9
fact "dl-coord: a run directory that cannot be created" refuses 73 /proc/nowhere \
  coord --data good -o /proc/nowhere --spawn 1
cp -r good outside && sed -i 's/"shard-0000/"..\/shard-0000/' outside/manifest.json
fact "a manifest that points out of its directory" refuses 65 "must be a plain name" dl-shard --verify outside
cp -r good huge && sed -i 's/"samples": *[0-9]*/"samples": 99999999999999999999/' huge/manifest.json
fact "a manifest with a huge number" refuses 65 "'samples'" dl-shard --info huge
cp -r good hollow && : >hollow/manifest.json
fact "an empty manifest" refuses 65 hollow/manifest.json coord --data hollow -o r4 --spawn 1
yes 'dense 2' | head -n 1000000 >million.model
fact "a model of a million layers" refuses 65 million.model \
  dl-coord -q --data good --model million.model -o r5 --spawn 1 --steps 1
head -c 100000 /dev/zero | tr '\0' '\253' >garbage
garbage_in() { refuses 65 "standard input" dl-eval run --data - <garbage; }
fact "dl-eval: garbage on standard input" garbage_in
closed_early() {
  dl-eval run --data digits.csv --predict 2>err.txt | head -n 1 >/dev/null
  local codes=("${PIPESTATUS[@]}")
  test ! -s err.txt && [[ ${codes[0]} = 0 || ${codes[0]} = 141 ]]
}
fact "dl-eval --predict: standard output closed early" closed_early

# A signal at any moment: nothing half-written, and the same command ends with the right bits.
in_background=
signals_while_sharding() {
  local i wanted got
  wanted=$(sha256sum <good/manifest.json)
  for i in $(seq 12); do
    rm -rf cutoff
    dl-shard -q -n 4 -o cutoff digits.csv >/dev/null 2>&1 & local p=$!
    sleep "0.0$((RANDOM % 4))$((RANDOM % 10))"
    kill -TERM $p 2>/dev/null
    wait $p
    # Whole or absent: where the manifest is, the signal came too late.
    [ -e cutoff/manifest.json ] || dl-shard -q -n 4 -o cutoff digits.csv >/dev/null || return 1
    dl-shard --verify cutoff >verified 2>&1 || { cat verified; return 1; }
    got=$(sha256sum <cutoff/manifest.json)
    same "$got" "$wanted" || return 1
  done
}
fact "dl-shard: a signal at any moment" signals_while_sharding
signals_while_training() {
  local i code wanted
  coord --data good -o unbroken --spawn 1 --steps 300 --json >unbroken.json || return 1
  wanted=$(field params_sha256 unbroken.json)
  for i in $(seq 8); do
    rm -rf broken
    in_background=exec coord --data good -o broken --spawn 2 --steps 300 --json >/dev/null 2>err.txt & local p=$!
    sleep "0.$((RANDOM % 2))$((RANDOM % 10))"
    kill -"$([ $((i % 2)) = 0 ] && echo TERM || echo INT)" $p 2>/dev/null
    code=0
    wait $p || code=$?
    case $code in 0 | 130 | 143) ;; *) echo "  exit $code"; cat err.txt; return 1 ;; esac
    coord --data good -o broken --spawn 2 --steps 300 --json >again.json 2>err.txt || { cat err.txt; return 1; }
    same "$(field params_sha256 again.json)" "$wanted" || return 1
  done
}
fact "dl-coord: a signal at any moment" signals_while_training
finish
