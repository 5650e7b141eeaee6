#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The figures of share/doc/reliability.md: how soon losses are noticed and mended, and what strangers cost.

usage: reliability.py BUILD detect [--count 100]      nodes killed, stopped, cut off: until they are named
       reliability.py BUILD restart [--count 20]      nodes and coordinator killed: until training goes on
       reliability.py BUILD calm [--minutes 10]       twice as many busy threads as cores: nobody is named
       reliability.py BUILD strangers [--count 1000] [--pairs 7] [--seconds 5]
                                                      random and idle connections, a node that joins, the others' steps
       reliability.py BUILD torch TORCH_TRAIN DATA    PyTorch with torchrun under the same kill and stop
"""
import argparse
import ctypes
import json
import os
import random
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

parser = argparse.ArgumentParser()
parser.add_argument("build")
parser.add_argument("what", choices=["detect", "restart", "calm", "strangers", "torch"])
parser.add_argument("more", nargs="*")
parser.add_argument("--count", type=int, default=0)
parser.add_argument("--minutes", type=float, default=10)
parser.add_argument("--pairs", type=int, default=7)
parser.add_argument("--seconds", type=float, default=5)
args = parser.parse_args()
here = os.path.dirname(os.path.abspath(__file__))
source = os.path.dirname(os.path.dirname(here))
tool = {name: os.path.join(os.path.abspath(args.build), "tools", name, name)
        for name in ("dl-shard", "dl-coord", "dl-node", "dl-eval")}


libc = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # the directory is removed then


def start(command, at_our_end=signal.SIGKILL, **more):
    """A process that does not outlive us, however we end."""
    parent = os.getpid()

    def bound():
        libc.prctl(PR_SET_PDEATHSIG, int(at_our_end))
        if os.getppid() != parent:
            os._exit(1)
    return subprocess.Popen(command, preexec_fn=bound, **more)


def quantile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


def told(name, seconds):
    print("%-34s median %.3f s, p99 %.3f s, longest %.3f s of %d" % (
        name, statistics.median(seconds), quantile(seconds, 0.99), max(seconds), len(seconds)), flush=True)


class Run:
    """A coordinator and what it says; nodes are started by hand."""

    def __init__(self, directory, name, nodes=3, model="dense 64 relu", options=(), pinned=None):
        self.path = os.path.join(directory, name)
        self.directory, self.model, self.options, self.pinned = directory, model, list(options), pinned
        self.wanted, self.nodes, self.wires, self.coordinator = nodes, {}, [], None
        self.begin()

    def command(self, words):
        return (["taskset", "-c", str(self.pinned)] if self.pinned is not None else []) + words

    def begin(self):
        if os.path.exists(self.path + "/address"):
            os.remove(self.path + "/address")  # of one that was killed
        self.coordinator = start(self.command(
            [tool["dl-coord"], "-q", "--data", self.directory + "/shards", "--model", self.model, "-o", self.path,
             "--nodes", str(self.wanted), "--listen", "127.0.0.1:0", "--steps", "100000000", "--checkpoint-every",
             "20000", "--json"] + self.options), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.rest = b""
        self.address = self.wait_file("address")

    def wait_file(self, name):
        file = os.path.join(self.path, name)
        while not (os.path.exists(file) and os.path.getsize(file) > 0):
            time.sleep(0.001)
        return open(file).read().strip()

    def node(self, through=None):
        made = start(self.command([tool["dl-node"], "-q", "--coord", through or self.address, "--key",
                                              self.path + "/key", "--wait", "10s"]), stderr=subprocess.DEVNULL)
        self.nodes[made.pid] = made
        return made

    def event(self, wanted, seconds=30, pid=None):
        """The next event of that name, and when it came."""
        end = time.monotonic() + seconds
        while True:
            while b"\n" in self.rest:
                line, self.rest = self.rest.split(b"\n", 1)
                event = json.loads(line)
                if event["event"] == "lost" and wanted != "lost":
                    self.unwanted.append(event)
                if event["event"] == wanted and pid in (None, event.get("pid")):
                    return event, time.monotonic()
                if event["event"] == "lost" and wanted == "lost":
                    self.unwanted.append(event)
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.coordinator.stdout], [], [], left)[0]:
                sys.exit("no event '%s' within %g s" % (wanted, seconds))
            self.rest += os.read(self.coordinator.stdout.fileno(), 1 << 16)

    unwanted = []

    def listen(self, seconds):
        """Reads what it says, so that it need not wait for us; nobody is told."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self.coordinator.stdout], [], [], left)[0]:
                os.read(self.coordinator.stdout.fileno(), 1 << 16)
        self.rest = b""

    def end(self):
        for process in list(self.nodes.values()) + self.wires + [self.coordinator]:
            process.kill()
            process.wait()


def wire(run, directory, number):
    file = os.path.join(directory, "wire%d" % number)
    made = start([sys.executable, source + "/tests/support/relay.py", file, run.path + "/address"])
    run.wires.append(made)
    while not os.path.exists(file):
        time.sleep(0.005)
    return made, open(file).read().strip()


def detect_in(directory, name, kind, count, seconds):
    """One run, in which one node after the other is lost."""
    run = Run(directory, name)
    run.unwanted = []
    wires, number = {}, 0
    def begin():
        nonlocal number
        number += 1
        if kind != "cut off":
            return run.node()
        made, address = wire(run, run.path, number)
        node = run.node(address)
        wires[node.pid] = made
        return node
    for _ in range(3):
        begin()
    run.event("first_step")
    for _ in range(count):
        time.sleep(random.uniform(0.1, 0.6))  # no certain moment between two heartbeats
        victim = random.choice(list(run.nodes.values()))
        at = time.monotonic()
        if kind == "killed":
            victim.kill()
        elif kind == "stopped":
            victim.send_signal(signal.SIGSTOP)
        else:
            wires[victim.pid].send_signal(signal.SIGSTOP)
        event, when = run.event("lost", pid=victim.pid)
        seconds.append(when - at)
        victim.kill()
        victim.wait()
        del run.nodes[victim.pid]
        run.event("group")
        begin()
        run.event("group")
    # Who was named, and was not the one.
    false_alarms = len(run.unwanted)
    run.end()
    return false_alarms


def detect(directory):
    count = args.count or 100
    for kind, runs in (("killed", 1), ("stopped", 4), ("cut off", 4)):
        seconds, alarms, threads = [], [], []
        for i in range(runs):
            threads.append(threading.Thread(target=lambda i=i: alarms.append(
                detect_in(directory, "%s%d" % (kind.replace(" ", "-"), i), kind, count // runs, seconds))))
            threads[-1].start()
        for thread in threads:
            thread.join()
        told("%s, until it is named:" % kind, seconds)
        print("  named and not lost: %d" % sum(alarms))


def restart(directory):
    count = args.count or 20
    run = Run(directory, "restart")
    for _ in range(3):
        run.node()
    run.event("first_step")
    after_loss, after_restart = [], []
    for _ in range(count):
        time.sleep(random.uniform(0.2, 0.5))
        victim = random.choice(list(run.nodes.values()))
        at = time.monotonic()
        victim.kill()
        after_loss.append(run.event("group")[1] - at)
        victim.wait()
        del run.nodes[victim.pid]
        run.node()
        run.event("group")
    told("a node killed, until the others train:", after_loss)
    for _ in range(count):
        time.sleep(random.uniform(0.2, 0.5))
        run.coordinator.kill()
        run.coordinator.wait()
        for node in run.nodes.values():
            node.kill()
            node.wait()
        run.nodes.clear()
        at = time.monotonic()
        run.begin()
        for _ in range(3):
            run.node()
        after_restart.append(run.event("group")[1] - at)
    told("all killed, from the restart until they train:", after_restart)
    run.end()


def calm(directory):
    cores = os.cpu_count()
    busy = [start([sys.executable, "-c", "while True: pass"]) for _ in range(cores)]
    run = Run(directory, "calm", nodes=cores)
    run.unwanted = []
    for _ in range(cores):
        run.node()
    run.event("first_step")
    end, steps = time.monotonic() + args.minutes * 60, 0
    while time.monotonic() < end:
        steps = run.event("checkpoint", seconds=120)[0]["step"]
    for process in busy:
        process.kill()
    print("%d busy threads beside %d nodes on %d cores for %g min, %d steps: %d nodes were named"
          % (cores, cores, cores, args.minutes, steps, len(run.unwanted)))
    run.end()


def resident(pid):
    for line in open("/proc/%d/status" % pid):
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024


def processor_seconds(pid):
    """What all threads of a process have had of a processor."""
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/schedstat" % (pid, task)) as numbers:
            total += int(numbers.read().split()[0])
    return total / 1e9


# Idle connections and random bytes first, then random bytes for as long as it lives; it says when that begins.
ATTACK = """
import os, socket, sys, time
count, host, port = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
idle = []
for i in range(count):
    idle.append(socket.create_connection((host, port)))
    with socket.create_connection((host, port)) as noise:
        try: noise.sendall(os.urandom(3000))
        except OSError: pass
print("sent", flush=True)
while True:
    try:
        with socket.create_connection((host, port)) as noise: noise.sendall(os.urandom(3000))
    except OSError: pass
    time.sleep(0.002)
"""


def strangers(directory):
    """Attackers, and this script, on processor 1; coordinator and nodes on processor 0. Spells with and without
    them in pairs, of --seconds each: steps a second, and what dl-coord itself had of processor 0 meanwhile."""
    count = args.count or 1000
    os.sched_setaffinity(0, {1})
    run = Run(directory, "strangers", nodes=1, model="dense 256 relu; dense 256 relu", pinned=0)
    first = run.node()
    run.event("first_step")
    host, port = run.address.rsplit(":", 1)

    def status():
        while True:
            try:
                with open(run.path + "/status.json") as file:
                    node = [n for n in json.load(file)["nodes"] if n["rank"] == 0][0]
                return node["busy_seconds"] + node["wait_seconds"], node["step"]
            except (OSError, ValueError, IndexError, KeyError):
                time.sleep(0.01)

    def spell():
        """Steps a second by the node's clock, the share of a processor that dl-coord had, and the node's
        processor time for a step."""
        run.listen(1.2)  # status.json is written once a second
        before, coordinator, node, at = *used(), time.monotonic()
        run.listen(args.seconds)
        after, coordinator_after, node_after, end = *used(), time.monotonic()
        steps = after[1] - before[1]
        return (steps / (after[0] - before[0]), (coordinator_after - coordinator) / (end - at),
                (node_after - node) / steps)

    def used():
        return status(), processor_seconds(run.coordinator.pid), processor_seconds(first.pid)

    time.sleep(1)
    memory = resident(run.coordinator.pid)
    attack = start([sys.executable, "-c", ATTACK, str(count), host, port], stdout=subprocess.PIPE)
    attack.stdout.readline()
    at = time.monotonic()
    node = run.node()
    while run.event("joined")[0]["pid"] != node.pid:
        pass
    joined = time.monotonic() - at
    node.kill()
    run.event("group")
    calm, attacked = [], []
    for pair in range(args.pairs):
        for under_attack in ((False, True) if pair % 2 else (True, False)):
            attack.send_signal(signal.SIGCONT if under_attack else signal.SIGSTOP)
            (attacked if under_attack else calm).append(spell())
    attacked_memory = resident(run.coordinator.pid)
    attack.kill()
    attack.wait()
    change = [a[0] / c[0] - 1 for c, a in zip(calm, attacked)]
    taken = [a[1] - c[1] for c, a in zip(calm, attacked)]
    beyond = [(1 + x) / (1 - y) - 1 for x, y in zip(change, taken)]
    longer = [a[2] / c[2] - 1 for c, a in zip(calm, attacked)]

    def percent(values):
        return "%+.1f %% (%+.1f to %+.1f)" % tuple(100 * v for v in (statistics.median(values), min(values), max(values)))

    print("%d random and %d idle connections, then about 400 random ones a second, on a processor of their own:" % (count, count))
    print("  a node joins in                   %.3f s" % joined)
    print("  memory of dl-coord                %.1f MB before, %.1f MB at the end" % (memory, attacked_memory))
    print("  steps a second                    %.0f undisturbed, %.0f attacked, medians of %d pairs" % (
        statistics.median(c[0] for c in calm), statistics.median(a[0] for a in attacked), args.pairs))
    print("  change, pair by pair              %s" % percent(change))
    print("  dl-coord takes more of that core  %s" % percent(taken))
    print("  change beyond that                %s" % percent(beyond))
    print("  a step's own processor time       %s" % percent(longer))
    run.end()


# Debian's torchrun 1.13 fails under its Python 3.11, whose flags do not list 'none': that one line is mended.
TORCHRUN = """
import sys, torch.distributed.elastic.multiprocessing.api as api
api.Std.from_str = classmethod(lambda cls, text: cls(int(text)))
from torch.distributed.run import main
main(sys.argv[1:])
"""


def torch(directory):
    script, data = args.more
    for kind, number in (("killed", signal.SIGKILL), ("stopped", signal.SIGSTOP)):
        log = open(os.path.join(directory, "torch.log"), "w+")
        launcher = start(
            ["/usr/bin/python3", "-c", TORCHRUN, "--nproc_per_node", "2", "--max_restarts", "0", script,
             "--data", data, "--model", "mlp", "--epochs", "100000"],
            at_our_end=signal.SIGTERM,  # it ends its workers then
            stdout=log, stderr=log, start_new_session=True,
            env=dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", GLOO_SOCKET_IFNAME="lo"))
        time.sleep(15)
        workers = subprocess.run(["pgrep", "-P", str(launcher.pid)], capture_output=True, text=True).stdout.split()
        at = time.monotonic()
        os.kill(int(workers[-1]), number)
        try:
            code = launcher.wait(timeout=90)
            print("torchrun, a worker %s: ends with code %d after %.1f s, the survivor is ended too" % (
                kind, code, time.monotonic() - at))
        except subprocess.TimeoutExpired:
            print("torchrun, a worker %s: says nothing and stands still for the 90 s that were waited" % kind)
        for worker in workers:
            try:
                os.kill(int(worker), signal.SIGKILL)
            except ProcessLookupError:
                pass
        launcher.kill()
        launcher.wait()
        log.seek(0)
        said = [line for line in log if "failed" in line or "Error" in line]
        print("  it said: %s" % (said[0].strip() if said else "nothing"))


with tempfile.TemporaryDirectory() as directory:
    random.seed(1)
    if args.what != "torch":
        subprocess.run([tool["dl-shard"], "-q", "-n", "8", "-o", directory + "/shards",
                        source + "/share/datasets/digits.csv.gz"], check=True, stdout=subprocess.DEVNULL)
    {"detect": detect, "restart": restart, "calm": calm, "strangers": strangers, "torch": torch}[args.what](directory)
