#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads a checkpoint with nothing but json, struct, hashlib and NumPy, as dl-checkpoint(5) says."""
import hashlib
import json
import struct
import sys

try:
    import numpy
except ImportError:
    print("NumPy is missing")
    sys.exit(77)

DTYPES = {"F32": "<f4", "F64": "<f8", "U64": "<u8"}


def read(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    metadata = header.pop("__metadata__")
    arrays = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        assert (8 + length + begin) % numpy.dtype(DTYPES[entry["dtype"]]).itemsize == 0, name
        arrays[name] = numpy.frombuffer(data[begin:end], DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return metadata, header, arrays


def digest(metadata, header, arrays):
    sha256 = hashlib.sha256()

    def add(part):
        sha256.update(struct.pack("<Q", len(part)) + part)

    for key in sorted(metadata):
        if key != "sha256":
            add(key.encode())
            add(metadata[key].encode())
    for name in sorted(arrays):
        shape = header[name]["shape"]
        add(name.encode())
        add(header[name]["dtype"].encode())
        add(struct.pack("<%dQ" % len(shape), *shape))
        add(arrays[name].tobytes())
    return sha256.hexdigest()


metadata, header, arrays = read(sys.argv[1])
assert metadata["format"] == "dl 1"
assert metadata["sha256"] == digest(metadata, header, arrays)
assert json.loads(metadata["model"]) == "dense 2 relu"
assert json.loads(metadata["options"]) == {"lr": 0.5, "batch": 4}
names = json.loads(metadata["parameters"])
assert names == ["0.weight", "0.bias", "2.weight", "2.bias"]
assert json.loads(metadata["slots"]) == ["m", "v"]
assert [arrays[name].shape for name in names] == [(2, 3), (2,), (1, 2), (1,)]


def flat(prefix):
    return numpy.concatenate([arrays[prefix + name].ravel() for name in names])


count = numpy.arange(11, dtype="f4")
assert (flat("") == count / 4 - 1).all()
assert (flat("optimizer.m.") == count / 2).all()
assert (flat("optimizer.v.") == count * count).all()
assert arrays["cursor.step"] == 42 and arrays["cursor.samples"] == 168
assert arrays["cursor.best_loss"] == 0.125
assert len(arrays) == 4 * 3 + 3
print("ok: every array of", sys.argv[1].rsplit("/", 1)[-1])
