#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What README and the man pages show is what the tools say: the sessions are run again, and every line
# that does not depend on time or machine has to stand in the pages.
# usage: transcripts.sh SOURCE_ROOT DL_SHARD DL_COORD DL_NODE DL_EVAL
set -u
root=$(cd "$1" && pwd)
shift
for tool in "$@"; do PATH=$(cd "$(dirname "$tool")" && pwd):$PATH; done
export PATH
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 70
cp "$root/share/datasets/digits.csv.gz" . || exit 70
bad=0 shown=0

# told PAGE...: each line of standard input stands in each page; a page may show tabs as blanks.
told() {
  local line page
  while IFS= read -r line; do
    [ -n "$line" ] || continue
    case $line in seconds* | samples/s* | "rank "*) continue ;; esac
    shown=$((shown + 1))
    for page in "$@"; do
      tr -s ' \t' ' ' <"$root/$page" | grep -qF -- "$(tr -s ' \t' ' ' <<<"$line")" && continue
      echo "$page does not show: $line"
      bad=1
    done
  done
}
train() { dl-coord -q --data "$1" --optimizer momentum "${@:2}"; }

told man/dl.7 man/dl-shard.1 < <(dl-shard -n 4 -o digits digits.csv.gz)
told man/dl-shard.1 < <(dl-shard --info digits --json | grep -oE '"file":"[^"]*","samples":[0-9]+' |
  grep shard- | sed 's/"file":"\(.*\)","samples":/\1 /')
told man/dl-shard.1 < <(zcat digits.csv.gz | dl-shard --by contiguous -n 2 --validation 0.1 -o d2 -)
told man/dl-shard.1 < <(dl-shard -q -n 4 --by dirichlet --alpha 0.1 -o d3 digits.csv.gz >/dev/null;
  dl-shard --info d3 | tail -n 9)
told README.md man/dl.7 < <(
  train digits --model 'dense 128 relu' -o run --spawn 2 --epochs 12 --batch 64 --lr 0.05)
told README.md man/dl.7 < <(
  train digits --model 'dense 128 relu' -o again --spawn 1 --threads 2 --epochs 12 --batch 64 --lr 0.05 |
    grep sha256)
told README.md man/dl.7 man/dl-eval.1 < <(zcat digits.csv.gz | head -n 3 | dl-eval run --data - --predict)
told man/dl-eval.1 < <(dl-eval run --data digits)
told man/dl-eval.1 < <(dl-eval --fail-under 0.99 run 2>&1 >/dev/null)
# How many checkpoints a slow disk left out is not said beforehand.
told man/dl-eval.1 < <(dl-eval --audit run | grep -v ^ledger)
dl-shard -q -o eight digits.csv.gz >/dev/null
told man/dl-coord.1 < <(train eight --model 'dense 64 relu' -o short --spawn 2 --epochs 4 | sed 's/short/run/')

printf '%s\n' 'length;width;kind' '1.5;0.2;iris' '4.5;1.5;rose' '5.9;2.1;rose' '1.4;0.1;iris' '4.1;1.3;rose' >flowers.csv
dl-shard -q -n 2 --test 0.2 --scale minmax -o f flowers.csv >/dev/null
told man/dl-manifest.5 <f/manifest.json
printf '%s\n' id,age,work,income 1,39,Private,low 2,50,Gov,high 3,38,Private,low '4,?,Gov,high' >people.csv
zcat digits.csv.gz | head -n 1000 | dl-shard -q -n 4 -o months - >/dev/null
told man/dl-shard.1 < <(zcat digits.csv.gz | tail -n 797 | dl-shard -q --append months - 2>/dev/null)
told man/dl-shard.1 < <(dl-shard --write-schema - --ignore id people.csv)

# The dumps of the formats' pages are the golden files, or decode.
hexdump_of() {  # the bytes that a page's dump shows; a '*' repeats the line before
  awk '/^[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]  / {
         at = 0; for (i = 1; i <= 8; ++i) at = at * 16 + index("0123456789abcdef", substr($1, i, 1)) - 1
         while (starred && want < at) { printf "%s", last; want += 16 }
         starred = 0; line = $0; sub(/\|.*/, "", line); sub(/^[0-9a-f]*/, "", line); gsub(/ /, "", line)
         printf "%s", line; last = line; want = at + length(line) / 2 }
       /^\*$/ { starred = 1 }' "$1"
}
[ "$(hexdump_of "$root/man/dl-shard.5")" = "$(od -An -v -tx1 "$root/tests/golden/shard-v1.dls" | tr -d ' \n')" ] ||
  { echo "man/dl-shard.5 does not show the bytes of tests/golden/shard-v1.dls"; bad=1; }

[ $shown -ge 60 ] || { echo "only $shown lines were looked at: this test looks at the wrong thing"; bad=1; }
[ $bad = 0 ] && echo "the pages show what the tools say ($shown lines)"
exit $bad
