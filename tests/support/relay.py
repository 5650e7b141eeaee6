#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A wire that can be cut: passes connections on to where TARGET-FILE says, until it is killed.

relay.py ADDRESS-FILE TARGET-FILE     listens on a free port of loopback, and writes where

SIGKILL cuts every connection; SIGSTOP leaves them open and silent.
"""
import os
import selectors
import socket
import sys

address_file, target_file = sys.argv[1:]
listening = socket.create_server(("127.0.0.1", 0))
with open(address_file + ".new", "w") as out:
    print("127.0.0.1:%d" % listening.getsockname()[1], file=out)
os.rename(address_file + ".new", address_file)
ends = selectors.DefaultSelector()
ends.register(listening, selectors.EVENT_READ)


def take():
    near = listening.accept()[0]
    try:
        host, port = open(target_file).read().strip().rsplit(":", 1)
        far = socket.create_connection((host, int(port)), timeout=5)
    except (OSError, ValueError):
        near.close()
        return
    for one, other in ((near, far), (far, near)):
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ends.register(one, selectors.EVENT_READ, other)


def pass_on(one, other):
    try:
        data = one.recv(1 << 16)
        if data:
            other.sendall(data)
            return
    except OSError:
        pass
    for end in (one, other):
        ends.unregister(end)
        end.close()


while True:
    for key, _ in ends.select():
        if key.fileobj is listening:
            take()
        elif key.fileobj.fileno() >= 0:
            pass_on(key.fileobj, key.data)
