#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# dl-shard from the outside: what it prints, what it leaves, and what it refuses.
# usage: dl-shard.sh DL_SHARD SOURCE_ROOT
set -u
shard=$(realpath "$1") root=$(realpath "$2")
digits=$root/share/datasets/digits.csv.gz
dir=$(mktemp -d) || exit 70
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 70
bad=0
complain() { echo "$*"; bad=1; }
# gives CODE PATTERN COMMAND...: the command exits with CODE, prints nothing on standard output, one line
# on standard error that matches PATTERN, and leaves no directory `m` behind
gives() {
  local code=$1 pattern=$2 got
  shift 2
  "$@" >out 2>err
  got=$?
  [ $got = "$code" ] || complain "$* gave $got, not $code: $(head -3 err)"
  [ ! -s out ] || complain "$* printed: $(head -3 out)"
  [ "$(wc -l <err)" = 1 ] || complain "$* said not one line: $(head -3 err)"
  grep -qF -- "$pattern" err || complain "$* said: $(cat err)"
  [ ! -e m ] || { complain "$* left something behind"; rm -rf m; }
}
field() { grep -o "\"$1\":[^,}]*" | head -1 | cut -d: -f2; }
sum() { find "$1" -type f | sort | xargs cat | sha256sum; }

# The shipped digits
"$shard" -o digits --json "$digits" >json 2>err || complain "digits: $(cat err)"
[ ! -s err ] || complain "not on a terminal, and still it said: $(cat err)"
[ "$(wc -l <json)" = 1 ] || complain "--json is not one line"
[ "$(field samples <json)" = 1438 ] || complain "digits: $(field samples <json) training samples"
[ "$(ls digits | wc -l)" = 10 ] || complain "digits: $(ls digits)"
[ "$(ls -A digits | wc -l)" = 10 ] || complain "hidden files: $(ls -A digits)"
"$shard" --info digits --json | cmp -s - json || complain "--info --json is not what the run printed"
"$shard" --info digits | grep -q 'test.dls  *359' || complain "--info shows no test part"
"$shard" --info digits | grep -qx '  1       number           1  less 0.[0-9]*, times 1.[0-9]*' || complain "--info shows no columns"
"$shard" --info digits | grep -qx '  ... and 32 more (--json shows all)' || complain "--info shows too many columns"
"$shard" --verify digits 2>err || complain "--verify: $(cat err)"
python=$(command -v python3) && { "$python" -m json.tool digits/manifest.json >/dev/null || complain "no JSON"; }

# The same input, options and seed: the same bytes, however the input comes
zcat "$digits" >digits.csv
for how in "digits.csv" "$digits"; do
  "$shard" -q -o again "$how" >/dev/null
  [ "$(sum again)" = "$(sum digits)" ] || complain "$how gives other bytes"
  rm -rf again
done
"$shard" -q -o again - <digits.csv >/dev/null
[ "$(sum again)" = "$(sum digits)" ] || complain "standard input gives other bytes"
rm -rf again
"$shard" -q -o again - <"$digits" >/dev/null
[ "$(sum again)" = "$(sum digits)" ] || complain "packed standard input gives other bytes"
rm -rf again
"$shard" -q -o again <(cat "$digits") >/dev/null
[ "$(sum again)" = "$(sum digits)" ] || complain "a named pipe gives other bytes"
rm -rf again
head -1000 digits.csv >one.csv
tail -n +1001 digits.csv | gzip >two.csv.gz
"$shard" -q -o again one.csv two.csv.gz >/dev/null
[ "$(sum again)" = "$(sum digits)" ] || complain "two files give other bytes"
rm -rf again
"$shard" -q -o again --seed 2 digits.csv >/dev/null
[ "$(sum again)" != "$(sum digits)" ] || complain "another seed gives the same bytes"

# IDX images: 100 of 2x2 pixels, made here
{ printf '\0\0\010\3\0\0\0\144\0\0\0\2\0\0\0\2'; for i in $(seq 400); do printf "\\$(printf %o $((i % 256)))"; done; } >images
{ printf '\0\0\010\1\0\0\0\144'; for i in $(seq 100); do printf "\\$(printf %o $((i % 3)))"; done; } >labels
gzip -k images labels
"$shard" --format idx --labels labels.gz --by round-robin -n 3 --test 0.25 --scale minmax -o idx images.gz --json >json ||
  complain "idx failed"
[ "$(field samples <json)" = 75 ] || complain "idx: $(field samples <json) training samples"
"$shard" -q -o idx2 --labels labels --by round-robin -n 3 --test 0.25 --scale minmax images >/dev/null
[ "$(sum idx2)" = "$(sum idx)" ] || complain "IDX is not told by its magic"

# Strategies: the sizes of the shards, and of the test part
sizes() { grep -o '"samples":[0-9]*' "$1" | cut -d: -f2 | tail -n +2 | tr '\n' ' '; }
strategy() {  # strategy SIZES OPTION...: shards of the digits, the same bytes twice
  "$shard" -q -o s --json "${@:2}" digits.csv >json || complain "${*:2} failed"
  [ "$(sizes json)" = "$1" ] || complain "${*:2}: sizes $(sizes json)"
  "$shard" -q -o s2 "${@:2}" digits.csv >/dev/null
  [ "$(sum s)" = "$(sum s2)" ] || complain "${*:2} gives other bytes"
  "$shard" --verify s 2>err || complain "${*:2}: $(cat err)"
  rm -rf s2
}
counts_of() { sed 's/{"file"/\n&/g' json | grep "\"$1\"" | grep -o 'class_counts":\[[^]]*' | cut -d[ -f2; }
strategy '360 359 360 359 359 ' -n 4 --by stratified
rm -rf s
for i in 0 1 2 3; do counts_of shard-000$i.dls; done |
  awk -F, '{ for (i = 1; i <= NF; ++i) { if (NR == 1 || $i < l[i]) l[i] = $i; if (NR == 1 || $i > m[i]) m[i] = $i } }
    END { for (i in l) if (m[i] - l[i] > 1) exit 1; exit NR != 4 || length(l) != 10 }' || complain "not stratified: $(cat json)"
strategy '959 240 0 239 359 ' --by weighted --weights 4,1,0,1
grep -q '"by":"weighted","weights":\[4.0,1.0,0.0,1.0\]' json || complain "no weights in $(cat json)"
rm -rf s
strategy '959 240 239 359 ' --by weighted --weights 4,1,1 -n 3
rm -rf s
strategy '482 413 312 231 359 ' -n 4 --by dirichlet --alpha 0.1
grep -q '"by":"dirichlet","alpha":0.1' json || complain "no alpha in $(cat json)"
rm -rf s

# Rows of a user together, also when the table has grown; auto finds the users, and says so
users() { awk -v n="$1" 'BEGIN { srand(4); print "x,user,kind"
  for (i = 0; i < n; ++i) print i ",u" int(90 * rand()) (i < 600 ? "" : "b") "," (i % 2 ? "a" : "b") }'; }
users 600 >users.csv
{ cat users.csv; users 900 | tail -n 300; } >grown.csv
for table in users grown; do
  "$shard" -q -o $table -n 3 --by hash --key user --scale none --json $table.csv >json || complain "--key failed"
  grep -q '"by":"hash","key":"user"' json || complain "no key in $(cat json)"
done
[ "$(field samples <json)" -gt 500 ] || complain "hash: $(field samples <json) training samples"
"$shard" -o auto -n 3 --by auto --scale none users.csv 2>err >out || complain "auto failed: $(cat err)"
[ "$(sum auto)" = "$(sum users)" ] || complain "auto is not --key user"
grep -q "by hash of 'user'" out || complain "the table does not name the key: $(cat out)"
grep -q "took hash by 'user' (--key 'user')" err || complain "auto says: $(cat err)"
"$shard" -q -o auto --force -n 3 --by auto --scale none users.csv 2>err >/dev/null
[ ! -s err ] || complain "auto is not quiet: $(cat err)"
"$shard" -o auto --force -n 4 --by auto digits.csv 2>err >/dev/null || complain "auto failed: $(cat err)"
grep -q 'took stratified' err || complain "auto says: $(cat err)"
"$shard" -q -o key --force -n 4 --by stratified digits.csv >/dev/null
[ "$(sum auto)" = "$(sum key)" ] || complain "auto is not stratified"
"$shard" --write-schema key.json users.csv
sed -i '/"user"/s/"category"/"key"/' key.json
for by in hash auto; do
  "$shard" -q -o auto --force -n 3 --by $by --schema key.json --scale none users.csv >/dev/null
  [ "$(sum auto)" = "$(sum users)" ] || complain "--by $by does not take the schema's key"
done
strategy '344 348 368 376 361 ' -n 4 --by hash --key '*'
grep -q '"by":"hash","key":"[*]"' json || complain "no key in $(cat json)"
rm -rf s auto key users grown

# The spread of the classes: of two, of a hundred, of numbers
for i in $(seq 400); do echo "$i,$((i % 100)),$((i % 2)),$i.5"; done >hundred.csv
"$shard" -q -o s --label 1 --task classification -n 3 --by stratified hundred.csv >/dev/null
"$shard" --info s >out 2>&1

[ "$(grep -c ' others$' out)" = 1 ] || complain "a hundred classes: $(cat out)"
[ "$(awk '{ if (length > most) most = length } END { print most }' out)" -le 120 ] || complain "wide: $(cat out)"
grep -q '^label skew: 0[.]' out || complain "no skew: $(cat out)"
"$shard" -q -o s --force --label 2 -n 3 --by contiguous hundred.csv >/dev/null
"$shard" --info s | grep -qE '^  all shards +0[.]0[0-9]+ +[0-9.]+ +[0-9.]+$' || complain "two classes: $("$shard" --info s)"
"$shard" -q -o s --force --label 3 -n 3 --json hundred.csv | grep -q '"skew":null' || complain "numbers have a skew"
"$shard" --info s | grep -qx 'label skew: -' || complain "numbers have a skew: $("$shard" --info s)"
rm -rf s

for how in "images" "images.gz"; do
  "$shard" -q -o idx3 --labels labels --by round-robin -n 3 --test 0.25 --scale minmax - <$how >/dev/null
  [ "$(sum idx3)" = "$(sum idx)" ] || complain "$how on standard input is not told by its magic"
  rm -rf idx3
done

# The same digits as libsvm text and as NPY: the same shards as from CSV
# npy FILE TYPE SHAPE: its header, 128 bytes; the values come from standard input
npy() {
  { printf '\223NUMPY\1\0\166\0'; printf "%-117s\n" "{'descr': '$2', 'fortran_order': False, 'shape': $3, }"; cat; } >"$1"
}
# bytes: numbers up to 255, one a line, as bytes
bytes() { printf "$(awk '{ printf "\\%03o", $1 }')"; }
shards() { find "$1" -name '*.dls' | sort | xargs cat | sha256sum; }
awk -F, '{ printf "%s", $65; for (i = 1; i < 65; i++) if ($i != 0) printf " %d:%s", i, $i; print "" }' digits.csv >digits.libsvm
rows=$(wc -l <digits.csv)
tr , '\n' <digits.csv | bytes | npy digits.npy '|u1' "($rows, 65)"
cut -d, -f1-64 digits.csv | tr , '\n' | bytes | npy features.npy '|u1' "($rows, 64)"
cut -d, -f1-64 digits.csv | tr , '\n' | bytes | npy images.npy '|u1' "($rows, 8, 8)"
# Two bytes, the higher one first
cut -d, -f65 digits.csv | awk '{ print 0; print }' | bytes | npy labels.npy '>i2' "($rows,)"
"$shard" -q -o plain --scale none digits.csv >/dev/null
gzip -k digits.libsvm digits.npy
same() {
  local what=$1
  shift
  "$shard" -q -o again --scale none "$@" >/dev/null || complain "$what: failed"
  [ "$(shards again)" = "$(shards plain)" ] || complain "$what: gives other shards than CSV does"
}
rm -rf again
same libsvm digits.libsvm
grep -q '"input": {"format":"libsvm","first":1,"features":64}' again/manifest.json || complain "libsvm: $(grep input again/manifest.json)"
rm -rf again
for file in digits.libsvm.gz digits.npy digits.npy.gz; do same $file $file; rm -rf again; done
same "libsvm by name" --format libsvm digits.libsvm; rm -rf again
same "npy, label by number" --label 64 digits.npy; rm -rf again
same "npy, labels beside" --labels labels.npy features.npy
grep -q '"shape": \[64\]' again/manifest.json || complain "npy: $(grep -A3 input again/manifest.json)"
rm -rf again
same "npy, images" --labels labels.npy images.npy
grep -q '{"name":"value","index":0,"width":64' again/manifest.json || complain "npy: images have no common scaling"
rm -rf again
same "npy, piped" - <digits.npy; rm -rf again
same "libsvm, piped" - <digits.libsvm; rm -rf again
same "libsvm, unpacked on the way" - < <(zcat digits.libsvm.gz); rm -rf again
same "npy, packed and piped" <(cat digits.npy.gz); rm -rf again
head -900 digits.libsvm >one.libsvm
tail -n +901 digits.libsvm | gzip >two.libsvm.gz
same "two libsvm files" one.libsvm two.libsvm.gz; rm -rf again
sed 's/ \([0-9]*\):/ 0:0 \1:/' digits.libsvm >zero.libsvm
"$shard" -q -o zero --json zero.libsvm >json
grep -q '"format":"libsvm","first":0,"features":65' json || complain "index 0: $(cat json)"

# A row of libsvm text that is wrong may be left out; what it says of indices is not believed
printf '1 1:1\n0 2:2 1:1\n0 2:2\n1 1:3\n1 99:1 3:3\n' >bad.libsvm
"$shard" -q -o bad -n 1 --test 0 --skip-bad 2 --json bad.libsvm >json 2>/dev/null || complain "--skip-bad: libsvm"
grep -q '"features":2' json || complain "a bad row of libsvm counts: $(cat json)"

# What unpacks to too much
head -c 100000000 /dev/zero | gzip >bomb.gz
gives 65 "bomb.gz: unpacks to more than 500 times its size" "$shard" -o m --max-expansion 500 bomb.gz
gives 64 "--max-expansion: '0'" "$shard" -o m --max-expansion 0 digits.csv

# Tables
printf 'x;y;kind\n1;2;rose\n3;4;iris\n5;6;rose\n7;8;iris\n' >t.csv
"$shard" -q -o t -n 2 --test 0 --label kind --json t.csv >json
grep -q '"separator":";","header":true' json || complain "separator or header not told: $(cat json)"
grep -q '"classes":\["iris","rose"\]' json || complain "classes: $(cat json)"
"$shard" -q -o t --force -n 2 --test 0 --label 2 --task regression --json <t.csv - >json 2>err &&
  complain "words as numbers were taken"
grep -q "row 2, column 2 ('kind'): 'rose' is not a number" err || complain "said: $(cat err)"
"$shard" -q -o t --force -n 2 --test 0 --label -3 --json --header yes --separator ';' digits.csv >/dev/null 2>&1 &&
  complain "a separator that is not there was taken"

# Refusals
: >empty.csv
printf '1,2,a\n3,4\n' >ragged.csv
printf '1,2,a\n3,x,b\n' >word.csv
printf '1,2,a\n3,nan,b\n' >nan.csv
printf '1,2,a\n3,4,a\n5,6,a\n' >one-class.csv
gzip -c digits.csv | head -c 3000 >short.csv.gz
head -c 200 images >short
gives 65 "empty.csv: is empty" "$shard" -o m empty.csv
gives 65 "ragged.csv: row 2: 2 cells" "$shard" -o m ragged.csv
gives 65 "word.csv: row 2, column 1: 'x' is not a number" "$shard" -o m word.csv
gives 65 "nan.csv: row 2, column 1: 'nan' is not finite" "$shard" -o m nan.csv
gives 65 "every label is 'a'" "$shard" -o m one-class.csv
gives 65 "fewer than the 2000 shards" "$shard" -o m -n 2000 digits.csv
gives 65 "there is no column 'species'" "$shard" -o m --label species t.csv
gives 65 "there is no column 65" "$shard" -o m --label 65 digits.csv
gives 65 "gzip data is damaged, ends early" "$shard" -o m short.csv.gz
gives 65 "ends inside sample 46" "$shard" -o m --labels labels short
gives 65 "fewer than there are samples" "$shard" -o m --labels <(printf '\0\0\010\1\0\0\0\1\1') images
printf '1 1:1\n1 3:1 2:1\n' >order.libsvm
gives 65 "order.libsvm: row 2: '2:1': follows index 3" "$shard" -o m order.libsvm
printf '1 1:1 qid:3\n' >qid.libsvm
gives 65 "qid.libsvm: row 1: 'qid:3': ranking" "$shard" -o m --format libsvm qid.libsvm
gives 64 "begins with its label" "$shard" -o m --label 0 digits.libsvm
head -c 1000 digits.npy >short.npy
gives 65 "short.npy: ends inside sample 13" "$shard" -o m short.npy
npy objects.npy '|O' '(1, 2)' </dev/null
gives 65 "holds Python objects, which are never read" "$shard" -o m objects.npy
gives 65 "there is no column '65'" "$shard" -o m --label 65 digits.npy
gives 64 "say --labels FILE" "$shard" -o m images.npy
gives 64 "--label is a column, --labels a file" "$shard" -o m --label 3 --labels labels.npy features.npy
gives 64 "schema files are for tables of text" "$shard" --write-schema - digits.npy
gives 64 "are for tables of text" "$shard" -o m --weight 3 digits.npy
gives 64 "are for tables of text" "$shard" -o m --header no digits.npy
gives 65 "digits.npy: is npy, not idx" "$shard" -o m --format idx --labels labels digits.npy
{ gzip -c digits.csv; echo more; } >behind.csv.gz
gives 65 "something else behind it" "$shard" -o m behind.csv.gz
gives 66 "missing.csv" "$shard" -o m missing.csv
gives 66 "is a directory" "$shard" -o m .
gives 66 "manifest.json" "$shard" --info .
gives 66 "manifest.json" "$shard" --verify nowhere
gives 64 "FILE is missing" "$shard" -o m
gives 64 "--shards: '-1' is not a whole number from 1 to 4096" "$shard" -o m -n -1 digits.csv
gives 64 "--shards: '0'" "$shard" -o m -n 0 digits.csv
gives 64 "--test: 'nan'" "$shard" -o m --test nan digits.csv
gives 64 "leave nothing to train on" "$shard" -o m --test 0.5 --validation 0.5 digits.csv
gives 64 "--by: 'magic' is not one of random, round-robin, contiguous, stratified" "$shard" -o m --by magic digits.csv
gives 64 "--by weighted wants --weights" "$shard" -o m --by weighted digits.csv
gives 64 "--weights: '-1' is not a number from 0" "$shard" -o m --by weighted --weights 1,-1 digits.csv
gives 64 "--weights: 'nan' is not a number from 0" "$shard" -o m --by weighted --weights nan digits.csv
gives 64 "--weights: '' is not a number from 0" "$shard" -o m --by weighted --weights 1, digits.csv
gives 64 "--weights: '0,0' is 0 for each shard" "$shard" -o m --by weighted --weights 0,0 digits.csv
gives 64 "--weights '1,2': 2 numbers for 3 shards (-n)" "$shard" -o m -n 3 --by weighted --weights 1,2 digits.csv
gives 64 "--weights is for --by weighted only (here: random)" "$shard" -o m --weights 1,2 digits.csv
gives 64 "--alpha is for --by dirichlet only (here: stratified)" "$shard" -o m --by stratified --alpha 1 digits.csv
gives 64 "--alpha" "$shard" -o m --by dirichlet --alpha 0 digits.csv
gives 64 "--by hash wants --key COLUMN" "$shard" -o m --by hash users.csv
gives 64 "--key is for --by hash only (here: auto)" "$shard" -o m --by auto --key user users.csv
gives 65 "there is no column 'patient'; there are 'x', 'user', 'kind'" "$shard" -o m --by hash --key patient users.csv
gives 64 "--label and --key both name column 2 ('kind')" "$shard" -o m --by hash --key kind --label kind users.csv
gives 65 "digits.csv: --by stratified is for classes" "$shard" -o m --by stratified --task regression digits.csv
gives 64 "unknown option '--shard'" "$shard" -o m --shard 3 digits.csv
gives 64 "--output needs a value" "$shard" -o --json digits.csv
gives 64 "--separator" "$shard" -o m --separator '::' digits.csv
gives 64 "say --labels FILE" "$shard" -o m images
gives 64 "--labels FILE is for arrays" "$shard" -o m --format csv --labels labels digits.csv
gives 73 "digits: holds a manifest already" "$shard" -o digits digits.csv
gives 73 "digits.csv: cannot create the directory" "$shard" -o digits.csv t.csv
gives 73 "digits.csv" "$shard" -o digits.csv/m digits.csv

# --force replaces the whole
"$shard" -q -o digits --force -n 3 --test 0 digits.csv >/dev/null || complain "--force failed"
[ "$(ls digits | tr '\n' ' ')" = "manifest.json shard-0000.dls shard-0001.dls shard-0002.dls " ] ||
  complain "--force left: $(ls digits)"

# --verify names the bad file
printf 'x' | dd of=digits/shard-0001.dls bs=1 seek=5000 conv=notrunc 2>/dev/null
gives 1 "digits/shard-0001.dls" "$shard" --verify digits
truncate -s 100 digits/shard-0001.dls
gives 1 "digits/shard-0001.dls" "$shard" --verify digits

# A full disk, a signal while reading, a reader that went away
(ulimit -f 8; gives 74 "m/" "$shard" -o m digits.csv; exit $bad) || bad=1
for signal in TERM INT; do
  mkfifo fifo
  "$shard" -o m fifo >out 2>err &
  pid=$!
  exec 3>fifo          # returns when dl-shard has opened its end
  if [ $signal = TERM ]; then cat digits.csv >&3; else cat "$digits" >&3; fi
  kill -$signal $pid
  exec 3>&-            # should the signal come between two reads, the end of the input wakes it up
  wait $pid
  got=$?
  # A shell's background children ignore SIGINT, until dl-shard asks for it.
  [ $got = $((128 + $(kill -l $signal))) ] || complain "SIG$signal gave $got: $(cat err)"
  [ ! -e m ] || { complain "SIG$signal left something behind"; rm -rf m; }
  rm fifo
done
"$shard" -o head digits.csv | head -1 >/dev/null
[ "${PIPESTATUS[0]}" = 0 ] || complain "a reader that went away is an error"
[ -f head/manifest.json ] || complain "a reader that went away loses the shards"
"$shard" -o full digits.csv >/dev/full 2>err
[ $? = 74 ] || complain "a full standard output is no error"

"$shard" --help | grep -q -- '--validation FRACTION' || complain "--help misses an option"
"$shard" --version | grep -q '^dl-shard [0-9]' || complain "--version"
if command -v ldd >/dev/null; then
  ldd "$shard" | grep -qiE 'blas|lapack|mpi' && complain "dl-shard links BLAS or MPI"
fi
nm -C "$shard" 2>/dev/null | grep -q 'boost::asio' && complain "dl-shard links Asio"
exit $bad
