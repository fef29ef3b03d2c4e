"""PyTorch takes a model that Ebb saved, strictly, and its layers give what Ebb's gave, to 1e-6.

Needs PyTorch.  Usage: back.py <the program of tests/state_dict.cpp>
"""

import os
import subprocess
import sys
import tempfile

import torch

from golden import read
from state import State

with tempfile.TemporaryDirectory() as folder:
    saved, io = os.path.join(folder, "model.safetensors"), os.path.join(folder, "io.safetensors")
    subprocess.run([sys.argv[1], saved, io], check=True, stdout=subprocess.DEVNULL)
    model = State()
    model.load_state_dict(read(saved), strict=True)
    io = read(io)

model.eval()
names = [name for name, _ in model.named_children()]
with torch.no_grad():
    for name in names:
        y, want = model.apply_layer(name, io[name + "/x"]), io[name + "/y"]
        assert y.shape == want.shape, name
        apart = ((y - want).abs().max() / want.abs().max()).item()
        assert apart <= 1e-6, f"{name} is apart by {apart}"
        print(f"{name:18}{apart:.1e}")
print(f"{len(names)} layers that Ebb saved give the same in PyTorch {torch.__version__}")
