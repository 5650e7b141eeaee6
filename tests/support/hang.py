#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Freezes one thread of a process, whose others go on: hang.py TID. Says "frozen", or ends with 77 where it may not."""
import ctypes
import os
import sys

PTRACE_SEIZE, PTRACE_INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
tid = int(sys.argv[1])
for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
    if libc.ptrace(request, tid, None, None) != 0:
        print(os.strerror(ctypes.get_errno()), file=sys.stderr)
        sys.exit(77)
os.waitpid(tid, WALL)  # it has stopped
print("frozen", flush=True)
while True:  # whoever is traced is first seen to end by us
    try:
        pid, status = os.waitpid(tid, WALL)
    except ChildProcessError:
        break
    if os.WIFEXITED(status) or os.WIFSIGNALED(status):
        break
