#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Predicts the classes of raw rows with json, struct and NumPy alone, as dl-checkpoint(5) and
dl-model(5) say. usage: forward.py CHECKPOINT ROWS.csv (relu layers; all columns are numbers)"""
import json
import struct
import sys

try:
    import numpy
except ImportError:
    sys.exit(77)

with open(sys.argv[1], "rb") as file:
    (length,) = struct.unpack("<Q", file.read(8))
    header = json.loads(file.read(length))
    data = file.read()
metadata = header["__metadata__"]
schema = json.loads(metadata["schema"])


def array(name):
    begin, end = header[name]["data_offsets"]
    return numpy.frombuffer(data[begin:end], "<f4").reshape(header[name]["shape"])


rows = numpy.loadtxt(sys.argv[2], delimiter=",")
layer = numpy.stack(
    [(rows[:, c["index"]] - c["shift"]) * c["scale"] for c in schema["columns"]], axis=1
).astype("f4")
names = json.loads(metadata["parameters"])
weights = [name for name in names if name.endswith(".weight")]
for name in weights:
    layer = layer @ array(name).T + array(name.replace("weight", "bias"))
    if name != weights[-1]:
        layer = numpy.maximum(layer, 0)
for code in layer.argmax(axis=1):
    print(schema["target"]["classes"][code])
