#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Keeps what a node says to its coordinator, and says it again.

replay.py record COORDINATOR ADDRESS-FILE SESSION   listens, passes one connection on, writes its bytes
replay.py play COORDINATOR SESSION                  fails unless the answer is a greeting at most
"""
import select
import socket
import sys


def to(address):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=10)


def record(coordinator, address_file, session):
    listening = socket.create_server(("127.0.0.1", 0))
    with open(address_file, "w") as out:
        print("127.0.0.1:%d" % listening.getsockname()[1], file=out)
    near = listening.accept()[0]
    far = to(coordinator)
    with open(session, "wb", buffering=0) as out:
        while True:
            for end in select.select([near, far], [], [])[0]:
                try:
                    data = end.recv(65536)
                except OSError:
                    data = b""
                if not data:
                    return
                if end is near:
                    out.write(data)
                (far if end is near else near).sendall(data)


def play(coordinator, session):
    with open(session, "rb") as file:
        said = file.read()
    peer = to(coordinator)
    answer = b""
    try:
        peer.sendall(said)
        while data := peer.recv(65536):
            answer += data
    except ConnectionError:
        pass  # it did not even listen to the end
    print("  %d bytes said again, %d bytes of answer" % (len(said), len(answer)))
    sys.exit(0 if len(said) > 1000 and len(answer) < 600 else 1)


{"record": record, "play": play}[sys.argv[1]](*sys.argv[2:])
