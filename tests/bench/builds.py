#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Two builds of dl against each other, by the processor time of the same commands, children included, in pairs.

usage: builds.py BUILD_A BUILD_B IDX_DIR [--rounds 7] [--case NAME]... [--instructions]

Printed is B to A, pair by pair: median, and the range. --instructions counts those of one process under
valgrind --tool=callgrind instead (which knows AVX2 at most), where other programs do not matter; once each.
IDX_DIR holds t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz.
"""
import argparse, os, re, resource, shutil, statistics, subprocess, sys, tempfile

parser = argparse.ArgumentParser()
parser.add_argument("build", nargs=2)
parser.add_argument("data")
parser.add_argument("--rounds", type=int, default=7)
parser.add_argument("--case", action="append")
parser.add_argument("--instructions", action="store_true")
args = parser.parse_args()
work = tempfile.mkdtemp(prefix="dl-builds-")
digits = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../share/datasets/digits.csv.gz")
images = ["--format", "idx", "--labels", os.path.join(args.data, "t10k-labels-idx1-ubyte.gz"), "--test", "0.2", "--scale",
          "minmax", os.path.join(args.data, "t10k-images-idx3-ubyte.gz")]


def tool(build, name):
    return os.path.join(os.path.abspath(build), "tools", name, name)


def run(command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def coord(*options, nodes=1, steps=160):
    return ["dl-coord", "-q", "--data", work + "/images", "--model", "dense 512 relu; dense 512 relu", "-o", work + "/run",
            "--spawn", str(nodes), "--steps", str(steps), "--batch", "256", "--optimizer", "momentum", "--lr", "0.05",
            "--checkpoint-every", "1000000", *options]


# Everything that a command writes is removed before it runs again.
CASES = {
    "dl-shard, a table": ["dl-shard", "-q", "-n", "8", "-o", work + "/run", digits],
    "dl-shard, images": ["dl-shard", "-q", "-n", "8", "-o", work + "/run", *images],
    "training, one node": coord(),
    "training, two nodes over TCP with TLS": coord("--transport", "tcp", nodes=2),
    "training, two nodes, int8": coord("--transport", "tcp", "--compress", "int8", nodes=2),
    "dl-eval": ["dl-eval", work + "/trained", "--data", work + "/images"],
}
ALONE = ["dl-shard, a table", "dl-shard, images", "dl-eval"]  # one process


def seconds(build, command):
    shutil.rmtree(work + "/run", ignore_errors=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run([tool(build, command[0])] + command[1:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def instructions(build, command):
    shutil.rmtree(work + "/run", ignore_errors=True)
    out = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", tool(build, command[0])]
                         + command[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True).stderr
    return int(re.search(r"Collected : (\d+)", out).group(1))


try:
    run([tool(args.build[0], "dl-shard"), "-q", "-n", "8", "-o", work + "/images", *images])
    training = coord(steps=40)
    training[training.index(work + "/run")] = work + "/trained"
    run([tool(args.build[0], training[0])] + training[1:])
    for name, command in CASES.items():
        if args.case and not any(c in name for c in args.case):
            continue
        if args.instructions:
            if name in ALONE:
                a, b = (instructions(build, command) for build in args.build)
                print(f"{name}: {a / 1e6:,.0f} and {b / 1e6:,.0f} million instructions, B to A {b / a:.4f}", flush=True)
            continue
        first, second = [], []
        for number in range(args.rounds):
            for which in ((0, 1) if number % 2 else (1, 0)):
                (second if which else first).append(seconds(args.build[which], command))
        ratios = [b / a for a, b in zip(first, second)]
        print(f"{name}: {statistics.median(first):.3f} s and {statistics.median(second):.3f} s of a processor, B to A "
              f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f} of {args.rounds})", flush=True)
finally:
    shutil.rmtree(work, ignore_errors=True)
