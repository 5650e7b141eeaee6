#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Trains 784-512-512-10 with dl and with PyTorch, in turn, and prints the median of the ratios; then
the time from the command to the first step, and the most memory that a node takes.

usage: training.py BUILD [--data DIR] [--peer SCRIPT] [--rounds N] [--case NAME]...

DIR holds t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz (or set DL_BENCH_DATA); SCRIPT is a
PyTorch program that prints a JSON line with "samples_per_s" (or set DL_BENCH_PEER). Without DIR the
benchmark is skipped (77); without SCRIPT the peer's column stays empty.
"""
import argparse, json, os, shutil, statistics, subprocess, sys, tempfile, time

parser = argparse.ArgumentParser()
parser.add_argument("build")
parser.add_argument("--data", default=os.environ.get("DL_BENCH_DATA"))
parser.add_argument("--peer", default=os.environ.get("DL_BENCH_PEER"))
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--case", action="append")
args = parser.parse_args()
if not args.data:
    print("training: set DL_BENCH_DATA to the directory of the IDX files")
    sys.exit(77)

tool = {name: os.path.join(args.build, "tools", name, name) for name in ("dl-shard", "dl-coord", "dl-node")}
work = tempfile.mkdtemp(prefix="dl-bench-")
environment = dict(os.environ, OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
environment["PATH"] = os.path.dirname(tool["dl-node"]) + ":" + environment["PATH"]


def shards(count):
    directory = os.path.join(work, f"m{count}")
    if not os.path.exists(directory):
        subprocess.run([tool["dl-shard"], "-q", "--format", "idx", "--labels",
                        os.path.join(args.data, "t10k-labels-idx1-ubyte.gz"), "-n", str(count), "--test", "0.2",
                        "--scale", "minmax", "-o", directory,
                        os.path.join(args.data, "t10k-images-idx3-ubyte.gz")],
                       check=True, stdout=subprocess.DEVNULL)
    return directory


def start(batch, nodes, count, extra=()):
    run = os.path.join(work, "run")
    shutil.rmtree(run, ignore_errors=True)
    return subprocess.Popen([tool["dl-coord"], "-q", "--data", shards(count), "--model",
                             "dense 512 relu; dense 512 relu", "-o", run, "--spawn", str(nodes), "--epochs",
                             str(args.epochs), "--batch", str(batch), "--optimizer", "momentum", "--lr", "0.1",
                             "--json", *extra], stdout=subprocess.PIPE, env=environment, text=True)


def ours(batch, nodes, count, extra=()):
    out = start(batch, nodes, count, extra).communicate()[0]
    return json.loads(out.splitlines()[-1])["samples_per_second"]


def first_step(nodes):
    begin, took = time.time(), None
    process = start(128, nodes, 8)
    for line in process.stdout:
        if json.loads(line)["event"] == "first_step":
            took = time.time() - begin
    process.wait()
    return took


def memory():
    """The peak resident memory of a node in MB, as the kernel tells it in the last epoch."""
    process, node, peak = start(128, 2, 8), None, 0
    for line in process.stdout:
        event = json.loads(line)
        node = event.get("pid", node)
        if event["event"] == "epoch":
            try:
                with open(f"/proc/{node}/status") as status:
                    peak = max(peak, *(int(l.split()[1]) for l in status if l.startswith("VmHWM")))
            except OSError:
                pass  # it has ended
    process.wait()
    return peak / 1024


def peer(batch, nodes):
    if not args.peer:
        return None
    command = ["/usr/bin/python3", args.peer, "--data", args.data, "--model", "mlp", "--batch", str(batch),
               "--epochs", str(args.epochs)]
    ranks = []
    for rank in range(nodes):
        env = dict(environment)
        if nodes > 1:
            env.update(RANK=str(rank), WORLD_SIZE=str(nodes), MASTER_ADDR="127.0.0.1", MASTER_PORT="29511",
                       GLOO_SOCKET_IFNAME="lo")
        ranks.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env))
    outputs = [r.communicate()[0] for r in ranks]
    return json.loads(outputs[0].splitlines()[-1])["samples_per_s"]


# name: (A, B): the ratio A/B is printed
CASES = {
    "one node, batch 128, against PyTorch": (lambda: ours(128, 1, 8), lambda: peer(128, 1)),
    "one node, batch 32, against PyTorch": (lambda: ours(32, 1, 8), lambda: peer(32, 1)),
    "two nodes, batch 256, against PyTorch DDP": (lambda: ours(256, 2, 8), lambda: peer(256, 2)),
    "two nodes, batch 1024, against one node": (lambda: ours(1024, 2, 8), lambda: ours(1024, 1, 8)),
    "two nodes, batch 256, against one node": (lambda: ours(256, 2, 8), lambda: ours(256, 1, 8)),
    "two nodes, batch 256, shared memory against TCP": (
        lambda: ours(256, 2, 8), lambda: ours(256, 2, 8, ("--transport", "tcp"))),
    "two nodes, batch 256, TLS against plain TCP": (
        lambda: ours(256, 2, 8, ("--transport", "tcp")), lambda: ours(256, 2, 8, ("--transport", "tcp", "--insecure"))),
    "two nodes, batch 1024, TLS against plain TCP": (
        lambda: ours(1024, 2, 8, ("--transport", "tcp")), lambda: ours(1024, 2, 8, ("--transport", "tcp", "--insecure"))),
    "two threads, batch 256, against one": (lambda: ours(256, 1, 8, ("--threads", "2")), lambda: ours(256, 1, 8)),
    "eight shards against one, batch 128": (lambda: ours(128, 1, 8), lambda: ours(128, 1, 1)),
}

try:
    for name, (a, b) in CASES.items():
        if args.case and not any(c in name for c in args.case):
            continue
        first, second = [], []
        for _ in range(args.rounds):
            first.append(a())
            second.append(b())
        line = f"{name}: {statistics.median(first):.0f} samples/s"
        if None not in second:
            ratio = statistics.median(x / y for x, y in zip(first, second))
            line += f" against {statistics.median(second):.0f}, ratio {ratio:.2f}"
        print(line, flush=True)
    if not args.case:
        for nodes in (1, 2):
            print(f"{nodes} nodes: {statistics.median(first_step(nodes) for _ in range(9)):.3f} s from the command "
                  "to the first step")
        print(f"a node's peak resident memory: {memory():.0f} MB")
finally:
    shutil.rmtree(work, ignore_errors=True)
