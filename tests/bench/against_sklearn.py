#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How good what dl learns is, beside scikit-learn's MLP on the same rows of the same split.

usage: against_sklearn.py TOOLS_DIR [census|measurements|both] [SEEDS=5] [ROWS=12000]
TOOLS_DIR holds dl-shard/dl-shard and its kin (a build's tools directory). A table with blanks after
commas, words, '?' for missing and two text classes, and one of measurements with a number to predict,
go through dl-shard with no option but the label, dl-coord --spawn 2, and dl-eval on the raw rows that were
held out. scikit-learn gets the rows that dl-shard --export writes, one-hot and standard scaling, the same
layers, batch, optimizer and epochs (20 for classes, 100 for the number). Prints both means and
the difference; exit 1 where dl is more than half a percentage point, or 3 %, worse. Exits 77 where
scikit-learn is missing.
"""
import csv
import importlib.util
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import warnings

if importlib.util.find_spec("sklearn") is None:
    print("no scikit-learn here")
    sys.exit(77)

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

EPOCHS, BATCH, HIDDEN = {"census": 20, "measurements": 100}, 200, 64


def census(path, rows, seed):
    """Age, work, schooling and so on, and whether the income is high: made up, in the shape of such tables."""
    draw = random.Random(seed)
    work = {"Private": 0, "Self-emp-inc": 0.9, "Federal-gov": 0.5, "Local-gov": 0.1, "Without-pay": -2}
    school = {"HS-grad": -0.5, "Some-college": 0, "Bachelors": 1.0, "Masters": 1.5, "11th": -1.4, "Doctorate": 2.2}
    job = {"Sales": 0.2, "Tech-support": 0.5, "Craft-repair": -0.1, "Exec-managerial": 1.1, "Farming": -1.2,
           "Other-service": -1.0, "Prof-specialty": 0.9}
    land = ["United-States"] * 40 + ["Mexico", "Canada", "India", "Cuba", "England", "Philippines"]

    def unknown(text, share):
        return "?" if draw.random() < share else text

    with open(path, "w") as out:
        out.write("age, workclass, education, hours, married, occupation, capital-gain, country, income\n")
        for _ in range(rows):
            age, hours = draw.randint(17, 85), max(1, round(draw.gauss(40, 12)))
            w, s, j, c = (draw.choice(list(x)) for x in (work, school, job, land))
            married = draw.choice(["Never-married", "Married", "Divorced"])
            gain = draw.randint(100, 20000) if draw.random() < 0.08 else 0
            score = (work[w] + school[s] + job[j] + 0.03 * (hours - 40) + gain / 4000 - ((age - 50) / 14) ** 2
                     + (1.2 if married == "Married" and age > 30 else -0.4) + draw.gauss(0, 1.1))
            cells = [age, unknown(w, 0.05), s, hours, married, unknown(j, 0.05), gain, unknown(c, 0.02),
                     ">50K" if score > 0.3 else "<=50K"]
            out.write(", ".join(map(str, cells)) + "\n")


def measurements(path, rows, seed):
    """Eight readings and a strength that follows from them, not linearly, with noise."""
    draw = random.Random(seed)
    with open(path, "w") as out:
        out.write("cement,slag,ash,water,plasticizer,coarse,fine,days,strength\n")
        for _ in range(rows):
            c, g, a = draw.uniform(100, 540), draw.uniform(0, 360), draw.uniform(0, 200)
            w, p = draw.uniform(120, 250), draw.uniform(0, 32)
            k, f, d = draw.uniform(800, 1145), draw.uniform(590, 990), draw.choice([1, 3, 7, 14, 28, 56, 90, 180, 365])
            binder = c + 0.8 * g + 0.4 * a
            y = (18 * math.log1p(d) * (binder / w / 3) ** 0.9 + 0.4 * p - 0.01 * (k - 970) ** 2 / 50
                 + 0.008 * (f - 770) + draw.gauss(0, 3))
            out.write(",".join(["%.1f" % v for v in (c, g, a, w, p, k, f)] + [str(d), "%.2f" % max(0, y)]) + "\n")


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def raw_rows_of(table, exported, scratch):
    """The rows of the table that were held out, as they stand in it but without the label; and the labels.

    Parts keep the table's order, so one walk finds them: a cell that is known is exported as it was.
    """
    with open(table) as file:
        raw = [line.rstrip("\n") for line in file]
    with open(exported) as file:
        held_out = list(csv.reader(file))[1:]

    def same(a, b):
        if a == b:
            return True
        try:
            return abs(float(a) - float(b)) <= 1e-6 * max(1, abs(float(a)))
        except ValueError:
            return False

    path, wanted, next_one = os.path.join(scratch, "raw.csv"), [], 0
    with open(path, "w") as out:
        out.write(raw[0].rsplit(",", 1)[0] + "\n")
        for line in raw[1:]:
            cells = [cell.strip() for cell in line.split(",")]
            if next_one < len(held_out) and all(a == "?" or same(a, b) for a, b in zip(cells, held_out[next_one])):
                out.write(line.rsplit(",", 1)[0] + "\n")
                wanted.append(cells[-1])
                next_one += 1
    if next_one != len(held_out):
        sys.exit("%s: row %d is not in the table" % (exported, next_one))
    return path, wanted


def learnt_by_dl(tools, table, scratch, seed):
    """The exported split, and how right dl-eval --predict is on the raw rows of its test part."""
    data, model_run = os.path.join(scratch, "m%d" % seed), os.path.join(scratch, "r%d" % seed)
    tool = lambda name: os.path.join(tools, name, name)
    kind = os.path.basename(table)[:-4]
    label = {"census": "income", "measurements": "strength"}[kind]
    run(tool("dl-shard"), "-q", "-o", data, "--label", label, "--seed", str(seed), table)
    run(tool("dl-coord"), "-q", "--data", data, "-o", model_run, "--model", "dense %d relu fan-in" % HIDDEN, "--spawn", "2",
        "--epochs", str(EPOCHS[kind]), "--batch", str(BATCH), "--optimizer", "adam", "--lr", "0.001", "--seed", str(seed))
    parts = []
    for part in ("train", "test"):
        path = os.path.join(scratch, "%s.csv" % part)
        with open(path, "w") as out:
            out.write(run(tool("dl-shard"), "--export", data, "--split", part))
        parts.append(path)
    raw, wanted = raw_rows_of(table, parts[1], scratch)
    said = [line.split("\t")[0] for line in run(tool("dl-eval"), model_run, "--data", raw, "--predict").splitlines()]
    if len(said) != len(wanted):
        sys.exit("%d predictions for %d rows" % (len(said), len(wanted)))
    if kind == "census":
        figure = sum(a == b for a, b in zip(said, wanted)) / len(wanted)
    else:
        figure = math.sqrt(sum((float(a) - float(b)) ** 2 for a, b in zip(said, wanted)) / len(wanted))
    judged = json.loads(run(tool("dl-eval"), model_run, "--json"))
    if abs(figure - judged.get("accuracy", judged.get("rmse"))) > 1e-3 * figure:
        sys.exit("raw rows give %g, but the test part %s" % (figure, judged))
    return parts, figure


def learnt_by_sklearn(parts, classes, seed):
    tables = []
    for path in parts:
        with open(path) as file:
            tables.append(list(csv.reader(file))[1:])
    def number(text):
        try:
            return float(text)
        except ValueError:
            return None
    columns = range(len(tables[0][0]) - 1)
    words = [i for i in columns if any(number(row[i]) is None for row in tables[0])]
    numbers = [i for i in columns if i not in words]
    features = [np.array([row[:-1] for row in table], dtype=object) for table in tables]
    targets = [np.array([row[-1] if classes else float(row[-1]) for row in table]) for table in tables]
    learner = (MLPClassifier if classes else MLPRegressor)(
        hidden_layer_sizes=(HIDDEN,), max_iter=EPOCHS["census" if classes else "measurements"], batch_size=BATCH, learning_rate_init=0.001, alpha=0,
        random_state=seed)
    steps = ColumnTransformer([("numbers", StandardScaler(), numbers),
                               ("words", OneHotEncoder(handle_unknown="ignore"), words)])
    mean, deviation = (0, 1) if classes else (targets[0].mean(), targets[0].std())
    wanted = targets[0] if classes else (targets[0] - mean) / deviation
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = make_pipeline(steps, learner).fit(features[0], wanted)
    said = model.predict(features[1])
    if classes:
        return float(np.mean(said == targets[1]))
    return float(np.sqrt(np.mean((said * deviation + mean - targets[1]) ** 2)))


def compare(tools, kind, seeds, rows):
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as scratch:
        table = os.path.join(scratch, kind + ".csv")
        (census if kind == "census" else measurements)(table, rows, 7)
        for seed in range(1, seeds + 1):
            parts, figure = learnt_by_dl(tools, table, scratch, seed)
            ours.append(figure)
            theirs.append(learnt_by_sklearn(parts, kind == "census", seed))
    mine, other = sum(ours) / seeds, sum(theirs) / seeds
    if kind == "census":
        print("census, %d rows: accuracy dl %.4f, scikit-learn %.4f: %+.2f percentage points (means of %d seeds)"
              % (rows, mine, other, 100 * (mine - other), seeds))
        return mine >= other - 0.005
    print("measurements, %d rows: RMSE dl %.4f, scikit-learn %.4f: %+.1f %% (means of %d seeds)"
          % (rows, mine, other, 100 * (mine / other - 1), seeds))
    return mine <= other * 1.03


def main():
    tools = sys.argv[1]
    which = sys.argv[2] if len(sys.argv) > 2 else "both"
    seeds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    rows = int(sys.argv[4]) if len(sys.argv) > 4 else 12000
    kinds = ["census", "measurements"] if which == "both" else [which]
    good = [compare(tools, kind, seeds, rows) for kind in kinds]
    sys.exit(0 if all(good) else 1)


main()
