#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# dl-eval from the outside: figures, predictions, pipelines, and what it refuses.
# usage: dl-eval.sh DL_EVAL DL_SHARD TRAIN_ALONE SOURCE_ROOT
set -u
evaluate=$(realpath "$1") shard=$(realpath "$2") train=$(realpath "$3") root=$(realpath "$4")
digits=$root/share/datasets/digits.csv.gz
dir=$(mktemp -d) || exit 70
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 70
bad=0
complain() { echo "$*"; bad=1; }
# gives CODE PATTERN COMMAND...: the command exits with CODE, and standard error is one line that
# matches PATTERN, or nothing where that is empty
gives() {
  local code=$1 pattern=$2 got
  shift 2
  "$@" >out 2>err
  got=$?
  [ $got = "$code" ] || complain "$* gave $got, not $code: $(head -3 err)"
  if [ -z "$pattern" ]; then
    [ ! -s err ] || complain "$* said: $(head -3 err)"
    return
  fi
  grep -qE -- "$pattern" err || complain "$* said: $(head -3 err)"
  [ "$(wc -l <err)" = 1 ] || complain "$* said more than a line"
}
field() { grep -o "\"$1\":[^,}]*" | head -1 | cut -d: -f2; }  # the first of that name
at_least() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a >= b) }'; }

"$shard" -q -o m --validation 0.1 "$digits" >/dev/null || exit 1
"$train" m 'dense 32 relu' 150 run || exit 1

# Judging
"$evaluate" run --json >json || complain "judging failed"
at_least "$(field accuracy <json)" 0.93 || complain "accuracy $(field accuracy <json)"
[ "$(field samples <json)" = "$("$shard" --info m --json | sed 's/.*"file": *"test.dls", *"samples": *\([0-9]*\).*/\1/')" ] ||
  complain "not the whole test part: $(cut -c1-60 json)"
[ "$(wc -l <json)" = 1 ] || complain "--json is not one line"
for how in "--threads 2" "--kernel scalar" "--data m" "--data m --split test" "--best"; do
  # shellcheck disable=SC2086
  "$evaluate" run $how --json | sed 's/"checkpoint".*//' | cmp -s - <(sed 's/"checkpoint".*//' json) ||
    complain "$how changes a figure"
done
"$evaluate" run --split train --json >train.json
"$evaluate" run --split validation --json >validation.json
"$evaluate" run --data "$digits" --json >raw.json
sum=$(($(field samples <json) + $(field samples <train.json) + $(field samples <validation.json)))
[ "$(field samples <raw.json)" = $sum ] || complain "the parts of the manifest are not the raw rows"
mean=$(cat json train.json validation.json | awk 'match($0, /"samples":[0-9]+/) {
         n = substr($0, RSTART + 10, RLENGTH - 10); match($0, /"accuracy":[0-9.]+/)
         hits += n * substr($0, RSTART + 11, RLENGTH - 11); rows += n } END { printf "%.9f", hits / rows }')
[ "$mean" = "$(printf %.9f "$(field accuracy <raw.json)")" ] ||
  complain "raw rows give accuracy $(field accuracy <raw.json), the parts $mean"
"$evaluate" run --confusion >table
grep -q '^accuracy  0\.9' table || complain "no accuracy in the table"
[ "$(grep -c '^[0-9] .*[0-9]\.[0-9]' table)" = 10 ] || complain "not ten classes in the table"
"$evaluate" run --confusion --json | grep -q '"confusion":\[\[' || complain "no matrix in JSON"

# Raw rows of other formats: each gives what its own shards give, with labels and without
zcat "$digits" >digits.csv
rows=$(wc -l <digits.csv)
awk -F, '{ printf "%s", $65; for (i = 1; i < 65; i++) if ($i != 0) printf " %d:%s", i, $i; print "" }' digits.csv >digits.libsvm
# npy SHAPE: numbers from standard input, one a line, as an array of bytes
npy() {
  printf '\223NUMPY\1\0\166\0'
  printf "%-117s\n" "{'descr': '|u1', 'fortran_order': False, 'shape': $1, }"
  printf "$(awk '{ printf "\\%03o", $1 }')"
}
tr , '\n' <digits.csv | npy "($rows, 65)" >digits.npy
cut -d, -f1-64 digits.csv | tr , '\n' | npy "($rows, 64)" >features.npy
cut -d, -f65 digits.csv | npy "($rows,)" >labels.npy
cut -d' ' -f2- digits.libsvm >features.libsvm
for format in libsvm npy; do
  "$shard" -q -o m-$format digits.$format >/dev/null || complain "$format: not sharded"
  "$train" m-$format 'dense 32 relu' 20 run-$format || complain "$format: not trained"
  "$evaluate" run-$format --split train --json >train-$format
  "$evaluate" run-$format --json >test-$format
  "$evaluate" run-$format --data digits.$format --json >raw-$format || complain "$format: raw rows are not read"
  [ "$(field samples <raw-$format)" = "$rows" ] || complain "$format: $(field samples <raw-$format) raw rows"
  awk -v a="$(field accuracy <train-$format)" -v n="$(field samples <train-$format)" -v b="$(field accuracy <test-$format)" \
    -v m="$(field samples <test-$format)" -v all="$(field accuracy <raw-$format)" \
    'BEGIN { d = (a * n + b * m) / (n + m) - all; exit !(d < 1e-9 && d > -1e-9) }' ||
    complain "$format: raw rows give accuracy $(field accuracy <raw-$format)"
  "$evaluate" run-$format --data digits.$format --predict >with || complain "$format: no predictions"
  "$evaluate" run-$format --data - --predict <features.$format >without || complain "$format: no predictions without labels"
  cmp -s with without || complain "$format: predictions differ where labels are missing"
done
cmp -s <(cut -f1 with) <("$evaluate" run-libsvm --data digits.libsvm --predict | cut -f1) ||
  complain "libsvm and npy predict different classes"
"$shard" -q -o m-beside --labels labels.npy features.npy >/dev/null
"$train" m-beside 'dense 32 relu' 20 run-beside
"$evaluate" run-beside --data features.npy --labels labels.npy --json >raw-beside
[ "$(field accuracy <raw-beside)" = "$(field accuracy <raw-npy)" ] || complain "labels beside an array: $(cat raw-beside)"
gives 65 'made for' "$evaluate" run-npy --data labels.npy
gives 65 "none of the 10 classes" "$evaluate" run-libsvm --data <(echo '12 1:1')
gives 65 "begin with 1" "$evaluate" run-libsvm --data <(echo '1 0:1')

# Predicting
zcat "$digits" | head -300 >rows.csv
"$evaluate" run --predict --data rows.csv >predicted
[ "$(wc -l <predicted)" = 300 ] || complain "$(wc -l <predicted) predictions of 300 rows"
[ "$(grep -cE "^[0-9]	(0\.[0-9]{6}|1\.000000)$" predicted)" = 300 ] || complain "$(head -2 predicted)"
"$evaluate" run --predict --data - <rows.csv | cmp -s - predicted || complain "standard input differs"
cut -d, -f1-64 rows.csv | "$evaluate" run --predict --data - | cmp -s - predicted ||
  complain "rows without the target's column differ"
right=$(paste <(cut -d, -f65 rows.csv) <(cut -f1 predicted) | awk '$1 == $2' | wc -l)
at_least "$right" 280 || complain "only $right of 300 right"
python=/usr/bin/python3
[ -x $python ] || python=python3
$python "$root/tests/cli/forward.py" run/latest rows.csv >forward
case $? in
  0) cmp -s forward <(cut -f1 predicted) || complain "a forward pass in NumPy predicts other classes" ;;
  77) echo "no NumPy here: its forward pass is not compared" ;;
  *) complain "forward.py failed" ;;
esac
[ "$("$evaluate" run --predict --json --data rows.csv | grep -c '^{"class":"[0-9]","probability":[0-9.e-]*}$')" = 300 ] ||
  complain "--predict --json"
for _ in 1 2 3 4 5 6 7 8; do zcat "$digits"; done >many.csv
first=$("$evaluate" run --predict --data many.csv 2>err | head -1; echo "${PIPESTATUS[0]}")
[ "$first" = "$(head -1 predicted)
0" ] || complain "head -1 got '$first'"
[ -s err ] && complain "a closed pipe is told: $(cat err)"
"$evaluate" run --predict --data rows.csv >/dev/full 2>err
[ $? = 74 ] || complain "a full disk is not 74"

# Regression
awk 'BEGIN { srand(1); print "a,b,y"; for (i = 0; i < 600; ++i) { a = rand(); b = rand()
       print a "," b "," 1000 + 3 * a - 2 * b + 0.01 * rand() } }' >line.csv
"$shard" -q -o r -n 2 line.csv >/dev/null && "$train" r '' 200 line || exit 1
"$evaluate" line --json >json
at_least "$(field r2 <json)" 0.99 || complain "R2 $(field r2 <json)"
at_least 0.1 "$(field rmse <json)" || complain "RMSE $(field rmse <json)"
"$evaluate" line | grep -q '^R2 ' || complain "no R2 in the table"
at_least "$(printf 'b,a\n0.5,0.5\n' | "$evaluate" line --predict --data -)" 1000.4 || complain "columns by name"

# --fail-under
gives 0 '' "$evaluate" -q run --fail-under 0.5
gives 1 'is below 1' "$evaluate" run --fail-under 1
gives 1 'is below 1' "$evaluate" line --fail-under 1
gives 0 '' "$evaluate" line --fail-under -3

# What it refuses
gives 64 'is missing' "$evaluate"
gives 64 'nan' "$evaluate" run --fail-under nan
gives 64 'fail-under' "$evaluate" run --predict --fail-under 0.5
gives 64 'one of test, train, validation' "$evaluate" run --split both
gives 64 'parts are' "$evaluate" run --data rows.csv --split train
gives 64 'header' "$evaluate" run --data m --header no
gives 64 'predicts a number' "$evaluate" line --confusion
gives 64 'threads' "$evaluate" run --threads 0
gives 64 "quantum" "$evaluate" run --kernel quantum
gives 66 'none' "$evaluate" none
gives 66 'none' "$evaluate" run --data none
gives 66 'latest' "$evaluate" m
gives 65 'validation' "$evaluate" line --split validation
head -c 3000 run/latest >cut.safetensors
gives 65 'cut.safetensors' "$evaluate" cut.safetensors --data m
cp run/latest bit.safetensors
printf '\377' | dd of=bit.safetensors bs=1 seek=9000 conv=notrunc 2>/dev/null
gives 65 'bit.safetensors' "$evaluate" bit.safetensors --data m
gives 65 'not a checkpoint' "$evaluate" rows.csv --data m
: >empty.csv
gives 65 'empty.csv' "$evaluate" run --data empty.csv
cut -d, -f1-60 rows.csv >narrow.csv
gives 65 'narrow.csv' "$evaluate" run --data narrow.csv
{ head -2 rows.csv; sed -n '3s/^[0-9]*/word/p' rows.csv; } >word.csv
gives 65 'word' "$evaluate" run --data word.csv --header no
cut -d, -f1-64 rows.csv >bare.csv
gives 65 'to judge by' "$evaluate" run --data bare.csv
"$shard" -q -o other --scale minmax "$digits" >/dev/null
gives 76 'scale .* but .* in the checkpoint' "$evaluate" run --data other
"$shard" -q -o seed2 --seed 2 --scale none "$digits" >/dev/null
"$shard" -q -o seed3 --seed 3 --scale none "$digits" >/dev/null
"$train" seed2 '' 1 two && gives 0 'not the manifest that the run trained on' "$evaluate" two --data seed3
gives 0 '' "$evaluate" two --data seed2
cp -r m flipped && printf '\377' | dd of=flipped/test.dls bs=1 seek=9000 conv=notrunc 2>/dev/null
gives 65 'test.dls' "$evaluate" run --data flipped
[ $bad = 0 ] && echo "dl-eval does what dl-eval(1) says"
exit $bad
