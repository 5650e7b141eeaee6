#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A wire with a fault: passes connections on to where TARGET-FILE says.

faulty_wire.py ADDRESS-FILE TARGET-FILE KIND SEED TIMES

listens on a free port of loopback, and writes where. KIND:
  delay       every piece arrives 5 to 40 ms late, in order
  throttle    at most 400 kB/s in each direction
  slice       in pieces of 1 to 200 bytes
  cut         after some bytes both ends are closed
  half-close  after some bytes one direction ends, the other one stays open
  corrupt     one bit of some byte is another one
The last three happen in the first TIMES connections, each at a place that follows from SEED; later connections are
sound. Each of these faults is a line on stdout.
"""
import os
import random
import socket
import sys
import threading
import time

address_file, target_file, kind, seed, times = sys.argv[1:]
chance = random.Random(int(seed))
left = int(times)


def say(text):
    print(kind, text, flush=True)


def close(*ends):
    for end in ends:
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def carry(one, other, place, called, own):
    """One direction; `place`: the byte at which its fault happens, or None."""
    done = 0
    try:
        while True:
            data = one.recv(1 << 15)
            if not data:
                other.shutdown(socket.SHUT_WR)
                return
            here = place is not None and done <= place < done + len(data)
            if here and kind == "corrupt":
                changed = bytearray(data)
                changed[place - done] ^= 1 << own.randrange(8)
                say("%s byte %d" % (called, place))
                data = bytes(changed)
            elif here:
                other.sendall(data[: place - done])
                say("%s byte %d" % (called, place))
                if kind == "cut":
                    close(one, other)
                else:
                    other.shutdown(socket.SHUT_WR)
                return
            done += len(data)
            if kind == "delay":
                time.sleep(own.uniform(0.005, 0.04))
            elif kind == "throttle":
                time.sleep(len(data) / 400e3)
            if kind != "slice":
                other.sendall(data)
                continue
            while data:
                size = own.randrange(1, 200)
                other.sendall(data[:size])
                data = data[size:]
    except OSError:
        close(one, other)


listening = socket.create_server(("127.0.0.1", 0))
with open(address_file + ".new", "w") as out:
    print("127.0.0.1:%d" % listening.getsockname()[1], file=out)
os.rename(address_file + ".new", address_file)
while True:
    near = listening.accept()[0]
    try:
        host, port = open(target_file).read().strip().rsplit(":", 1)
        far = socket.create_connection((host, int(port)), timeout=5)
    except (OSError, ValueError):
        near.close()
        continue
    far.settimeout(None)
    for end in (near, far):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    up = down = None
    if left > 0 and kind in ("cut", "half-close", "corrupt"):
        left -= 1
        # Now in the greeting, now in what is said later, now in a state that comes.
        if chance.random() < 0.5:
            up = int(10 ** chance.uniform(1, 4))
        else:
            down = int(10 ** chance.uniform(1, 4))
    for one, other, place, called in ((near, far, up, "to the coordinator,"), (far, near, down, "to the node,")):
        own = random.Random(chance.random())
        threading.Thread(target=carry, args=(one, other, place, called, own), daemon=True).start()
