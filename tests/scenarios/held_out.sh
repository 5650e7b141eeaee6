#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What a run is judged on: a shard that is held out, several test files.
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 70

dl-shard -q -n 6 -o shards "$digits" >/dev/null || exit 70
options="--optimizer momentum --batch 64 --epochs 3"
train() {  # train NAME OPTION...: prints the digest of the run's parameters
  local name=$1
  shift
  dl-coord -q --model 'dense 24 relu' $options -o "$name" --json "$@" >"$name.json" 2>"$name.log" ||
    { cat "$name.log" >&2; return 1; }
  field params_sha256 "$name.json"
}
judged() { dl-eval -q --json "$@" | sed 's/^{"samples":\([0-9]*\),.*"accuracy":\([0-9.]*\),"macro.*/\2 \1/'; }
samples() { sed -n "s/.*\"file\":\"shard-000$1.dls\",\"samples\":\([0-9]*\).*/\1/p" shards/manifest.json; }

wanted=$(train one --data shards --hold-out 2 --spawn 1)
fact "a shard is held out" test ${#wanted} = 64
fact "its rows are not trained on" same "$(field samples one.json)" $((3 * (1438 - $(samples 2))))
fact "three nodes: the same bits" same "$(train three --data shards --hold-out 2 --spawn 3)" "$wanted"
fact "another shard: other bits" test "$(train other --data shards --hold-out 0 --spawn 1)" != "$wanted"
fact "dl-eval judges on that shard, to the last digit" \
  same "$(judged one)" "$(field test_accuracy one.json) $(samples 2)"
fact "dl-eval --data DIR does too" same "$(judged one --data shards)" "$(judged one)"
fact "its training part is the other shards" \
  same "$(judged one --split train | cut -d' ' -f2)" $((1438 - $(samples 2)))

without_data() {
  dl-coord -q --data shards --hold-out 2 --model 'dense 24 relu' $options -o fetched --json --nodes 2 \
    >fetched.json 2>fetched.log & local c=$!
  until_true 10 test -s fetched/address || return 1
  dl-node -q --coord "$(cat fetched/address)" --key fetched/key --fetch --cache c1 & local a=$!
  dl-node -q --coord "$(cat fetched/address)" --key fetched/key --fetch --cache c2 & local b=$!
  wait $c && wait $a && wait $b && same "$(field params_sha256 fetched.json)" "$wanted"
}
fact "nodes that fetch: the same bits" without_data

again() { dl-coord -q --data shards --model 'dense 24 relu' $options -o one --spawn 1 "$@" 2>&1 >out; }
fact "the same command again says done" exits 0 again --hold-out 2
refused() { [ "$(again "${@:2}" | grep -cF -- "$1")" = 1 ] && exits 76 again "${@:2}" >/dev/null; }
fact "another shard is 76 with both" refused "--hold-out was '2' when the run began, and is '3' now" --hold-out 3
fact "none is 76 with both" refused "--hold-out was '2' when the run began, and is 'none' now"
wrong() { local code=0; dl-coord -q --data shards --model 'dense 8' -o wrong "$@" 2>wrong.log || code=$?; same $code 64 && [ ! -e wrong ] && grep -qF -- "$words" wrong.log; }
words='--hold-out 6: shards: shard 6 cannot be held out: there are 6' fact "no such shard is 64" wrong --hold-out 6
words="--hold-out: '-1'" fact "no number is 64" wrong --hold-out -1
dl-shard -q -n 1 -o single "$digits" >/dev/null
single() { exits 64 dl-coord -q --data single --model 'dense 8' -o wrong --hold-out 0 2>/dev/null; }
fact "the only shard is 64" single

# The scaling fitted anew without the shard
refit=$(train refit --data shards --hold-out 2 --refit --spawn 1)
fact "refitted: a run" test ${#refit} = 64
fact "refitted: other parameters than with the scaling that saw the shard" test "$refit" != "$wanted"
fact "refitted: three nodes, the same bits" same "$(train refit3 --data shards --hold-out 2 --refit --spawn 3)" "$refit"
fact "refitted: the data set is one of its own" exits 0 dl-shard -q --verify refit/refit
fact "refitted: dl-eval judges on that shard, to the last digit" \
  same "$(judged refit)" "$(field test_accuracy refit.json) $(samples 2)"
fact "refitted: the training part is the other shards" \
  same "$(judged refit --split train | cut -d' ' -f2)" $((1438 - $(samples 2)))
refit_again() { dl-coord -q --data "${data:-shards}" --model 'dense 24 relu' $options -o refit --spawn 1 "$@" 2>&1 >out; }
fact "refitted: the same command again says done" exits 0 refit_again --hold-out 2 --refit
not_refitted() { refit_again --hold-out 2 | grep -qF -- "--refit was 'yes' when the run began, and is 'no' now"; }
fact "refitted and not: 76 with both" not_refitted
dl-shard -q -n 6 --seed 2 -o others "$digits" >/dev/null
other_data() { data=others refit_again --hold-out 2 --refit | grep -qF -- "the manifest of --data was"; }
fact "refitted from other data: 76 with both" other_data
changed() {
  cp -r refit kept && rm -r kept/*.safetensors kept/latest || return 1
  sed -i '/"done/,$d' kept/run.json && sed -i '$s/,$/}/' kept/run.json
  sed -i 's/"seed": 1/"seed": 3/' kept/refit/manifest.json
  dl-coord -q --data shards --model 'dense 24 relu' $options -o kept --spawn 1 --hold-out 2 --refit 2>kept.log
  [ $? = 76 ] && grep -q 'kept/refit: its manifest was' kept.log || { cat kept.log; return 1; }
}
fact "a refitted data set that was changed is 76" changed
killed() {  # in the middle of writing: shards, but no manifest
  mkdir -p half/refit && cp refit/refit/shard-000[01].dls half/refit && same "$(train half --data shards --hold-out 2 --refit --spawn 2)" "$refit"
}
fact "half a refitted data set is made anew: the same bits" killed
words='--refit: without which shard' fact "--refit without --hold-out is 64" wrong --refit

# The last two shards become test files beside the first one.
cp -r shards several
python3 - several/manifest.json <<'PY'
import json, sys
manifest = json.load(open(sys.argv[1]))
manifest["test"] = [manifest["test"], manifest["shards"].pop(), manifest["shards"].pop()]
manifest["samples"] = sum(shard["samples"] for shard in manifest["shards"])
json.dump(manifest, open(sys.argv[1], "w"))
PY
fact "several test files: dl-shard verifies them" exits 0 dl-shard -q --verify several
wanted=$(train several1 --data several --spawn 1)
fact "several test files: three nodes, the same bits" same "$(train several3 --data several --spawn 3)" "$wanted"
fact "several test files: the same judgement" \
  same "$(field test_accuracy several3.json)" "$(field test_accuracy several1.json)"
fact "several test files: dl-eval agrees to the last digit" \
  same "$(judged several1)" "$(field test_accuracy several1.json) $((359 + $(samples 4) + $(samples 5)))"
finish
