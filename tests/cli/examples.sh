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

# runs SCRIPT PATTERN: it ends with 0 and its standard output has a line that matches.
runs() {
  ran=$((ran + 1))
  if ! "$examples/$1" work >out 2>err; then
    echo "$1 failed"
    bad=1
  elif ! grep -qE -- "$2" out; then
    echo "$1 did not say: $2"
    bad=1
  else
    return 0
  fi
  cat out err
}

runs two-machines.sh '^test accuracy  0\.9'
rm -rf work
runs resume.sh '^the same parameters, to the last bit$'
rm -rf work
runs predict-pipeline.sh '^1[67][0-9][0-9] 1797$'
runs predict-pipeline.sh '^1[67][0-9][0-9] 1797$' # what is there is not done again

scripts=("$examples"/*.sh)
[ "$ran" -gt "${#scripts[@]}" ] || { echo "an example was not run"; bad=1; }
[ $bad = 0 ] && echo "every example runs"
exit $bad
