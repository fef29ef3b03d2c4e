"""What nn::save writes opens in Python with struct and json alone, and has PyTorch's names and shapes.

Usage: state_dict.py <the program of state_dict.cpp>
"""

import json
import math
import os
import struct
import subprocess
import sys
import tempfile

# state_dict() of the same modules in PyTorch 1.13.1.
PYTORCH = {
    "linear.weight": [7, 10], "linear.bias": [7], "plain.weight": [3, 7], "conv1d.weight": [4, 2, 3],
    "conv1d.bias": [4], "conv2d.weight": [6, 2, 3, 5], "conv2d.bias": [6], "conv_transpose2d.weight": [6, 2, 3, 3],
    "conv_transpose2d.bias": [4], "batch_norm.weight": [6], "batch_norm.bias": [6], "batch_norm.running_mean": [6],
    "batch_norm.running_var": [6], "batch_norm.num_batches_tracked": [], "layer_norm.weight": [5],
    "layer_norm.bias": [5], "embedding.weight": [11, 8], "attention.in_proj_weight": [24, 8],
    "attention.in_proj_bias": [24], "attention.out_proj.weight": [8, 8], "attention.out_proj.bias": [8],
    "rnn.weight_ih_l0": [4, 3], "rnn.weight_hh_l0": [4, 4], "rnn.bias_ih_l0": [4], "rnn.bias_hh_l0": [4],
    "lstm.weight_ih_l0": [16, 3], "lstm.weight_hh_l0": [16, 4], "lstm.bias_ih_l0": [16], "lstm.bias_hh_l0": [16],
    "lstm.weight_ih_l0_reverse": [16, 3], "lstm.weight_hh_l0_reverse": [16, 4], "lstm.bias_ih_l0_reverse": [16],
    "lstm.bias_hh_l0_reverse": [16], "lstm.weight_ih_l1": [16, 8], "lstm.weight_hh_l1": [16, 4],
    "lstm.bias_ih_l1": [16], "lstm.bias_hh_l1": [16], "lstm.weight_ih_l1_reverse": [16, 8],
    "lstm.weight_hh_l1_reverse": [16, 4], "lstm.bias_ih_l1_reverse": [16], "lstm.bias_hh_l1_reverse": [16],
    "gru.weight_ih_l0": [12, 3], "gru.weight_hh_l0": [12, 4], "gru.bias_ih_l0": [12], "gru.bias_hh_l0": [12],
    "cell.weight_ih": [16, 3], "cell.weight_hh": [16, 4], "cell.bias_ih": [16], "cell.bias_hh": [16],
    "block.0.weight": [3, 2], "block.0.bias": [3], "block.2.0.weight": [1, 3], "block.2.0.bias": [1],
}

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "model.safetensors")
    printed = subprocess.run([sys.argv[1], path], check=True, capture_output=True, text=True).stdout
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        body = file.read()

header.pop("__metadata__", None)
assert {name: entry["shape"] for name, entry in header.items()} == PYTORCH, "names or shapes differ from PyTorch's"

sums = dict(line.split() for line in printed.splitlines())
assert sums.keys() == header.keys()
for name, entry in header.items():
    begin, end = entry["data_offsets"]
    letter = {"F32": "f", "F64": "d", "I64": "q"}[entry["dtype"]]
    size = struct.calcsize(letter)
    assert end - begin == size * math.prod(entry["shape"]), name
    numbers = struct.unpack(f"<{(end - begin) // size}{letter}", body[begin:end])
    assert abs(math.fsum(numbers) - float(sums[name])) < 1e-9, name
assert max(entry["data_offsets"][1] for entry in header.values()) == len(body)
print(f"{len(header)} tensors, as PyTorch names and shapes them")
