#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Tables as people have them: words, holes, blanks, weights; raw rows predicted without preparation.
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 70

# 3000 people: age and hours are numbers, work and city words; '?' and nothing stand for missing.
people() {  # SEED
  awk -v seed="$1" 'BEGIN { srand(seed)
    split("Private,Gov,Self-emp,None", works, ","); split("Lima,Oslo,Rome,Kyoto,Accra", cities, ",")
    print "id, age, work, hours, city, share, income"
    for (i = 1; i <= 3000; ++i) {
      age = 18 + int(rand() * 60); w = 1 + int(rand() * 4); h = 5 + int(rand() * 70); c = 1 + int(rand() * 5)
      score = (age - 45) / 15 + (w == 3) - 2 * (w == 4) + (h - 40) / 20 + (c == 2) + rand() - 0.5
      printf "%d, %s, %s, %d, %s, %.2f, %s\n", i, (rand() < 0.04 ? "?" : age), (rand() < 0.04 ? "?" : works[w]),
        h, (rand() < 0.04 ? "" : cities[c]), 0.5 + rand(), (score > 0 ? ">50K" : "<=50K") } }'
}
people 1 >people.csv
train() {  # RUN DATA [OPTION...]
  local run=$1 data=$2
  shift 2
  dl-coord -q --data "$data" -o "$run" --model 'dense 32 relu fan-in' --optimizer adam --lr 0.003 --batch 100 \
    --epochs 10 --json "$@" >"$run.json"
}
accuracy() { sed -n 's/.*"accuracy":\([0-9.]*\).*/\1/p' | head -n 1; }
at_least() { awk -v is="$1" -v least="$2" 'BEGIN { exit !(is >= least) }' || { echo "  $1 is below $2"; return 1; }; }

fact "a table of words and holes: no option but the label" \
  dl-shard -q -o m --label income people.csv >/dev/null
fact "two nodes learn from it" train run m --spawn 2
fact "what they learn is worth it" at_least "$(dl-eval run --json | accuracy)" 0.9
dl-shard --info m --json >info.json
fact "categories, fills and what is missing stand in the manifest" \
  grep -q '"name":"work","index":2,"kind":"category","categories":\["Gov","None","Private","Self-emp"\],"other":false,"fill":"[A-Za-z-]*","missing":' info.json

# Raw rows: as they came, in another order of columns, without the label, packed, from a pipe
dl-eval run --data people.csv --predict >all.txt
fact "every raw row is predicted" same "$(wc -l <all.txt)" 3000
awk -F', ' '{ print $5 ";" $2 ";" $7 ";" $6 ";" $3 ";" $1 ";" $4 }' people.csv >turned.csv
awk -F', ' 'BEGIN { OFS = "," } { print $1, $2, $3, $4, $5, $6 }' people.csv >unlabelled.csv
fact "another order of columns, another separator: the same answers" \
  cmp all.txt <(dl-eval run --data turned.csv --separator ';' --predict)
fact "no label: the same answers" cmp all.txt <(dl-eval run --data unlabelled.csv --predict)
fact "Windows line ends, packed, from a pipe: the same answers" \
  cmp all.txt <(sed 's/$/\r/' people.csv | gzip -c | dl-eval run --data - --predict)
fact "no header: the columns' places tell" cmp all.txt <(tail -n +2 people.csv | dl-eval run --data - --header no --predict)
judged() { dl-eval run --data "$@" --json | accuracy; }
fact "judging raw rows: any order of columns" same "$(judged turned.csv --separator ";")" "$(judged people.csv)"
{ head -n 1 people.csv; echo '9, 40, Astronaut, 40, Atlantis, 1, >50K'; echo '9, ?, ?, 40, , 1, >50K'; } >strange.csv
fact "texts that nobody saw, and holes, are predicted" same "$(dl-eval run --data strange.csv --predict | wc -l)" 2

# What was written comes out again, and in again
dl-shard --export m --split train >train.csv
dl-shard --export m --split test >test.csv
fact "exported rows: as many" same "$(cat train.csv test.csv | wc -l)" 3002
fact "exported test rows are judged as the shards are, to the last digit" \
  same "$(judged test.csv)" "$(dl-eval run --json | accuracy)"

# A schema file, weights, one feature for 'missing', several numbers to predict
dl-shard --write-schema schema.json --label income --ignore id people.csv
fact "a schema file says what each column is" grep -q '{"name":"id","index":0,"use":"ignore"}' schema.json
sed -i 's/"share","index":5,"use":"number"/"share","index":5,"use":"weight"/; s/"hours","index":3,"use":"number"/"hours","index":3,"use":"category"/' schema.json
dl-shard -q -o w --schema schema.json --indicator age,city --max-categories 10 --json people.csv >w.json
fact "changed, it is followed: a weight, a category of ten and the rest" \
  grep -q '"name":"hours","index":3,"kind":"category","categories":\[\("[0-9]*",\)\{9\}"[0-9]*"\],"other":true' w.json
fact "indicators are features" grep -q '"name":"age".*"indicator":true.*"name":"city".*"indicator":true' w.json
fact "weighted training on one node" train w1 w --spawn 1
fact "weighted training on three" train w3 w --spawn 3
fact "weights: the same bits" same "$(field params_sha256 w1.json)" "$(field params_sha256 w3.json)"
weighted_judgement() {
  dl-shard --export w --split test >wtest.csv
  same "$(dl-eval w1 --data wtest.csv --json | accuracy)" "$(dl-eval w1 --json | accuracy)"
}
fact "weights: raw rows are judged as the shards are" weighted_judgement

awk 'BEGIN { srand(3); print "a,b,sum,difference"
  for (i = 0; i < 2000; ++i) { a = rand(); b = rand(); print a "," b "," 100 + a + b "," a - b } }' >two.csv
dl-shard -q -o two --label sum,difference two.csv >/dev/null
fact "two numbers from one model" train both two --spawn 2
fact "each of them is judged" \
  at_least "$(dl-eval both --json | sed -n 's/.*"target":"difference"[^}]*"r2":\([0-9.]*\).*/\1/p')" 0.99
fact "both are predicted, in their own units" \
  awk -F'\t' 'NF != 2 || $1 < 99 || $1 > 103 || $2 < -1.5 || $2 > 1.5 { bad = 1 } END { exit bad || NR != 2000 }' \
  <(dl-eval both --data two.csv --predict)

# Bad rows
{ cat people.csv; echo '1, 2'; echo '7, old, Gov, 40, Rome, 1, >50K'; echo '8, 40, Gov, 40, Rome, 1, ?'; } >bad.csv
refused() {  # CODE PATTERN COMMAND...
  local code=$1 pattern=$2
  shift 2
  exits "$code" "$@" >out 2>err && grep -qF -- "$pattern" err || { cat err; return 1; }
}
fact "a bad row is named, with row and cells" refused 65 "bad.csv: row 3002: 2 cells" \
  dl-shard -q -o x --label income bad.csv
fact "bad rows beyond --skip-bad" refused 65 "bad.csv: row 3004, column 6 ('income'): the label is '?'" \
  dl-shard -q -o x --label income --skip-bad 2 bad.csv
fact "nothing is left behind" test ! -e x
skipping() {
  dl-shard -o x --label income --skip-bad 3 bad.csv >/dev/null 2>err || return 1
  grep -q "row 3003, column 1 ('age'): 'old' is not a number" err && grep -q '3 bad rows were skipped' err || return 1
  cmp <(dl-shard --export x) <(dl-shard --export m)
}
fact "--skip-bad leaves them out, and says which" skipping
fact "a column that does not exist" refused 65 "there is no column 'salary'; there are 'id', 'age'" \
  dl-shard -q -o y --label salary people.csv
fact "a column wanted twice" refused 64 "--label and --weight both name column 5 ('share')" \
  dl-shard -q -o y --label share --weight share people.csv
fact "a negative weight" refused 65 "the weight is -1" \
  dl-shard -q -o y --label income --weight share <(sed '5s/, [0-9.]*, \([<>]\)/, -1, \1/' people.csv)
memory() {
  local peak
  for _ in $(seq 60); do tail -n +2 people.csv; done >many.csv
  peak=$(/usr/bin/env python3 - <<'PYTHON'
import resource, subprocess
subprocess.run(["dl-shard", "-q", "--memory", "32M", "-o", "big", "many.csv"], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
PYTHON
  ) || return 1
  [ "$peak" -lt 64 ] || { echo "  $peak MiB"; return 1; }
}
fact "memory stays bounded" memory

finish
