#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `meson install` puts everything where it belongs, and what was installed works from there.
# usage: install.sh BUILD_ROOT PREFIX DATADIR BINDIR MANDIR
set -u
build=$1 prefix=$2 data=$2/$3 bin=$2/$4 man=$2/$5
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
bad=0
complain() { echo "$*"; bad=1; }

meson install -C "$build" --no-rebuild --quiet --destdir "$root" >"$root/log" 2>&1 ||
  { cat "$root/log"; exit 1; }
wanted=$(
  for tool in dl-shard dl-coord dl-node dl-eval; do
    echo "$bin/$tool" "$data/bash-completion/completions/$tool" "$man/man1/$tool.1"
  done
  for page in dl-checkpoint dl-manifest dl-model dl-shard; do echo "$man/man5/$page.5"; done
  echo "$man/man7/dl.7" "$man/man7/dl-protocol.7"
  echo "$data/dl/models/mlp.model" "$data/dl/datasets/digits.csv.gz" "$data/dl/datasets/README.md"
  echo "$data/doc/dl/README.md" "$data/doc/dl/LICENSE" "$data/doc/dl/design.md" "$data/doc/dl/hacking.md"
)
for file in $wanted; do
  [ -s "$root$file" ] || complain "$file is not installed"
done
libraries=$(find "$root" -name '*.a' -o -name '*.h')
[ -z "$libraries" ] || complain "installed, but of no use to anyone: $libraries"

PATH=$root$bin:$PATH
cd "$root" || exit 70
"$root$data/dl/examples/two-machines.sh" work >out 2>&1 || { complain "an installed example fails"; cat out; }
[ $bad = 0 ] && echo "everything is where it belongs under $prefix"
exit $bad
