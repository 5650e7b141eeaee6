#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Every script in share/examples runs as it is, with the tools in PATH, and shows what it says.
# usage: examples.sh SOURCE_ROOT TOOL...
set -u
examples=$1/share/examples
shift
for tool in "$@"; do PATH=$(cd "$(dirname "$tool")" && pwd):$PATH; done
export PATH
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 70
bad=0 ran=0

# runs SCRIPT PATTERN [ARGUMENT...]: it ends with 0 and its standard output has a line that matches.
# Without arguments it is told the directory to work in.
runs() {
  local script=$1 pattern=$2
  shift 2
  [ $# -gt 0 ] || set -- work
  ran=$((ran + 1))
  if ! "$examples/$script" "$@" >out 2>err; then
    echo "$script failed"
    bad=1
  elif ! grep -qE -- "$pattern" out; then
    echo "$script did not say: $pattern"
    bad=1
  else
    return 0
  fi
  cat out err
}

runs two-machines.sh '^test accuracy  0\.9'
rm -rf work
runs two-layers-two-nodes.sh '^the same parameters, to the last bit$'
runs compare-modes.sh '^sync  *[0-9.]+ +[0-9]+ ' --model 'dense 16 relu' --epochs 3 --only '^(one node|sync)$'
rm -rf work
runs resume.sh '^the same parameters, to the last bit$'
rm -rf work
runs predict-pipeline.sh '^1[67][0-9][0-9] 1797$'
runs predict-pipeline.sh '^1[67][0-9][0-9] 1797$' # what is there is not done again
dl-shard -q -n 5 --test 0 -o digits "$examples/../datasets/digits.csv.gz" >/dev/null
# Every row of the digits is judged once: 0.96 with a margin for nothing, since the bits are defined.
runs cross-validate.sh '^mean accuracy 0\.9[6-9]' digits 'dense 128 relu' --optimizer momentum --batch 64 --epochs 15
rm -rf work && mkdir -p work/new
zcat "$examples/../datasets/digits.csv.gz" | head -n 1000 >work/new/monday.csv
runs nightly.sh '^test accuracy  0\.[89]'
zcat "$examples/../datasets/digits.csv.gz" | tail -n +1001 >work/new/tuesday.csv
# Killed between the manifest and the move: the table is not taken a second time.
echo "tuesday.csv $(sha256sum work/shards/manifest.json | cut -c1-16)" >work/pending
dl-shard -q --append work/shards work/new/tuesday.csv >/dev/null
runs nightly.sh '^test accuracy  0\.9'
[ "$(grep -o '"file":"shard-' work/shards/manifest.json | wc -l)" = 5 ] || { echo "nightly.sh: not 5 shards"; bad=1; }
[ "$(ls work/taken work/runs | wc -l)" = 8 ] || { ls work/taken work/runs; bad=1; }
runs nightly.sh '^nothing new$'
runs nightly.sh '^nothing to train on' empty

scripts=("$examples"/*.sh)
[ "$ran" -gt "${#scripts[@]}" ] || { echo "an example was not run"; bad=1; }
[ $bad = 0 ] && echo "every example runs"
exit $bad
