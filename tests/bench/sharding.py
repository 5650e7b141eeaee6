#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""MB/s of text: dl-shard, which reads, scales and writes shards, beside pandas.read_csv, which only reads.

usage: sharding.py DL_SHARD [MEGABYTES=128] [RUNS=7]
Runs in turn on one core; prints medians of wall and of processor time, dl-shard's largest resident memory, and
how fast it verifies what it wrote.
Exits 77 where pandas is missing.
"""
import importlib.util
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

if importlib.util.find_spec("pandas") is None:
    print("no pandas here")
    sys.exit(77)


def write_table(path, megabytes):
    """20 columns, every fourth whole, the others with six digits behind the point; five classes."""
    draw = random.Random(1)
    rows = []
    for _ in range(5000):
        cells = [str(draw.randint(0, 9999)) if i % 4 == 0 else "%.6f" % draw.gauss(0, 1) for i in range(20)]
        rows.append(",".join(cells) + ",%d\n" % draw.randint(0, 4))
    block = "".join(rows)
    with open(path, "w") as out:
        out.write(",".join("x%d" % i for i in range(20)) + ",label\n")
        for _ in range(max(1, megabytes * 1000000 // len(block))):
            out.write(block)


def timed_child(command):
    """Wall seconds, processor seconds and peak KiB of one command."""
    begin = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - begin
    if status != 0:
        sys.exit("%s failed" % command[0])
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def main():
    dl_shard = sys.argv[1]
    megabytes = int(sys.argv[2]) if len(sys.argv) > 2 else 128
    runs = int(sys.argv[3]) if len(sys.argv) > 3 else 7
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as scratch:
        path = os.path.join(scratch, "table.csv")
        write_table(path, megabytes)
        size = os.path.getsize(path) * 1e-6
        # First of all, while this process is small: a child's peak begins with its parent's size.
        peak = timed_child([dl_shard, "-q", "-o", os.path.join(scratch, "m"), path])[2]
        import pandas
        ours, theirs = [], []
        for run in range(runs + 1):  # the first one warms up
            wall, cpu, _ = timed_child(
                [dl_shard, "-q", "-n", "8", "-o", os.path.join(scratch, "m%d" % run), path])
            begin, used = time.perf_counter(), time.process_time()
            table = pandas.read_csv(path)
            pandas_wall, pandas_cpu = time.perf_counter() - begin, time.process_time() - used
            del table
            if run > 0:
                ours.append((wall, cpu))
                theirs.append((pandas_wall, pandas_cpu))
        for what, i in (("wall time", 0), ("processor time", 1)):
            a = size / statistics.median(x[i] for x in ours)
            b = size / statistics.median(x[i] for x in theirs)
            pairs = statistics.median(y[i] / x[i] for x, y in zip(ours, theirs))
            print("%.0f MB, %s: dl-shard %.0f MB/s, pandas %s %.0f MB/s, %.2fx (median of %d pairs)"
                  % (size, what, a, pandas.__version__, b, pairs, runs))
        print("dl-shard's largest resident memory: %.0f MB" % (peak * 1024e-6))
        shards = os.path.join(scratch, "m")
        written = sum(entry.stat().st_size for entry in os.scandir(shards)) * 1e-9
        checks = [timed_child([dl_shard, "-q", "--verify", shards])[0] for _ in range(runs)]
        print("dl-shard --verify: %.2f GB/s (median of %d)" % (written / statistics.median(checks), runs))


main()
