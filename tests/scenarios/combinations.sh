#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Every --assign with every --mode, --compress and number of nodes that go together: trains the digits, and has the
# bits of all others of its mode and compression, where those promise equal bits. Not all of them are run, but so
# many that every two values meet in one; with DL_ALL_COMBINATIONS=yes (tests/run.sh --long), all.
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 70

dl-shard -q -n 8 --test 0.2 --seed 3 -o shards "$digits" >/dev/null || exit 70

# Lines 'MODE COMPRESS ASSIGN NODES' of all that is allowed (dl-coord(1)).
allowed() {
  local mode compress assign nodes
  for mode in sync local pipeline tensor async; do
    for compress in none bf16 int8 topk=0.1 powersgd=2; do
      for assign in balanced round-robin random adaptive; do
        for nodes in 1 2 3 4; do
          case $mode:$compress:$assign in
            pipeline:none:adaptive | tensor:none:adaptive | async:powersgd=*) ;;
            sync:* | local:* | async:* | *:none:*) echo "$mode $compress $assign $nodes" ;;
          esac
        done
      done
    done
  done
}
# Of the lines of standard input, enough to have every pair of values in two columns; the greedy choice.
pairwise() {
  awk '{ line[NR] = $0
         for (i = 1; i <= NF; ++i) for (j = i + 1; j <= NF; ++j) { pair[NR, ++n[NR]] = i $i "|" j $j; open[i $i "|" j $j] }
       }
       END {
         while (length(open) > 0) {
           most = 0
           for (l = 1; l <= NR; ++l) {
             gain = 0
             for (p = 1; p <= n[l]; ++p) gain += pair[l, p] in open
             if (gain > most) { most = gain; best = l }
           }
           for (p = 1; p <= n[best]; ++p) delete open[pair[best, p]]
           print line[best]
         }
       }'
}

train() {  # train NAME MODE COMPRESS ASSIGN NODES
  local steps=
  [ "$2" != local ] || steps='--local-steps 4'
  dl-coord -q --data shards --model 'dense 48 relu; dense 24 tanh' -o "$1" --mode "$2" --compress "$3" --assign "$4" \
    --spawn "$5" --epochs 20 --batch 96 --optimizer momentum --lr 0.05 $steps --json >"$1.json" 2>"$1.log" ||
    { cat "$1.log"; return 1; }
  awk -v got="$(field test_accuracy "$1.json")" -v least="$least" 'BEGIN { exit !(got >= least) }' ||
    { echo "  accuracy $(field test_accuracy "$1.json")"; return 1; }
  case $2 in async) return ;; pipeline) set -- "$1" sync "$3" ;; esac
  [ -f "bits-$2-$3" ] || field params_sha256 "$1.json" >"bits-$2-$3"
  same "$(field params_sha256 "$1.json")" "$(cat "bits-$2-$3")"
}

if [ "${DL_ALL_COMBINATIONS-}" = yes ]; then allowed >chosen; else allowed | pairwise >chosen; fi
while read -r mode compress assign nodes; do
  case $mode:$compress in sync:none | pipeline:* | tensor:*) least=0.94 ;; *) least=0.92 ;; esac
  fact "$mode, $compress, $assign, $nodes nodes" train "$mode-${compress%=*}-$assign-$nodes" $mode $compress $assign $nodes
done <chosen
finish
