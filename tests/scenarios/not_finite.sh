#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What the optimizer remembers overflows in the middle of an epoch, where nobody looks until its end: no checkpoint
# holds it, whoever asks for one, and a stop is a stop.
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 70
awk 'BEGIN {
  srand(3)
  for (i = 0; i < 150000; ++i) print 1e6 * (rand() - 0.5) "," 1e6 * (rand() - 0.5) "," 1e16 * (rand() - 0.5)
}' >huge.csv
dl-shard -q --scale none --test 0.01 -n 4 -o huge huge.csv >/dev/null || exit 70

start() {  # [OPTION...]
  dl-coord -q --data huge --model 'dense 16 relu' --optimizer adam --lr 0.001 --batch 1 --epochs 3 -o run --spawn 1 \
    --json "$@" >out.json 2>err.txt & c=$!
}
none_written() { ! ls run/*.safetensors 2>/dev/null; }

start
until_true 20 grep -q first_step out.json
kill -USR1 $c
fact "a checkpoint that is asked for there is left out" until_true 10 grep -q '"checkpoint_left_out"' out.json
fact "and a line says so" grep -q 'no checkpoint of step [0-9]*: the parameters, or what the optimizer remembers, are not finite' err.txt
kill -TERM $c
fact "a stop there is a stop" exits 143 wait $c
fact "which names what is not finite" grep -q "'optimizer\.[mv]\..*is inf at element .*: it is not written, the checkpoint before it stays" err.txt
fact "nothing is written" none_written

start
fact "the same command comes to the end of the epoch, where the state is refused" exits 65 wait $c
fact "by name" grep -q 'after step [0-9]* the parameters, or what the optimizer remembers, are not finite' err.txt
fact "nothing is written there either" none_written
finish
