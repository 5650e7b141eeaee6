#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A checkpoint opens with nothing but json and numpy, and a forward pass written there agrees.
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 70
python=/usr/bin/python3
[ -x $python ] || python=python3
$python -c 'import numpy' 2>/dev/null || { echo "no numpy here"; exit 77; }

dl-shard -q --test 0.2 -o shards "$digits" >/dev/null || exit 70
dl-coord -q --data shards --model 'dense 48 relu; dense 24 tanh' -o run --spawn 2 --epochs 8 \
  --batch 64 --optimizer adam --lr 0.003 >/dev/null || exit 70
zcat "$digits" >rows.csv
dl-eval run --data rows.csv --json >eval.json || exit 70
fact "numpy's forward pass gives dl-eval's accuracy" $python - <<'P'
import json, numpy as np
raw = open("run/latest", "rb").read()
n = int.from_bytes(raw[:8], "little")
head = json.loads(raw[8:8 + n])
tensor = lambda k: np.frombuffer(raw[8 + n:][slice(*head[k]["data_offsets"])], "<f4").reshape(head[k]["shape"])
meta = head["__metadata__"]
schema = json.loads(meta["schema"])
rows = np.loadtxt("rows.csv", delimiter=",")
x, y = rows[:, :-1], rows[:, -1]
scaled = []
for column in schema["columns"]:
    for at in range(column["index"], column["index"] + column.get("width", 1)):
        scaled.append((x[:, at] - column["shift"]) * column["scale"])
a = np.stack(scaled, 1).astype(np.float32)
for layer, act in (("0", lambda v: np.maximum(v, 0)), ("2", np.tanh), ("4", lambda v: v)):
    a = act(a @ tensor(layer + ".weight").T + tensor(layer + ".bias"))
classes = np.array([float(c) for c in schema["target"]["classes"]])
mine = float((classes[a.argmax(1)] == y).mean())
theirs = json.load(open("eval.json"))["accuracy"]
assert abs(mine - theirs) < 1e-9 and mine > 0.9, (mine, theirs)
P
finish
