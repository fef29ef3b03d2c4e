"""Golden files: tensors by name, as PyTorch computed them.

Each script beside this one writes one file of the same name, e.g. layers.py -> layers.safetensors, and needs PyTorch
(Debian: python3-torch 1.13.1).  The tests need only the files.  To make one again:  python3 tests/parity/layers.py
Names are <case>/<what>, e.g. "conv2d.strided/weight": x, y, dy stand for input, output and the gradient given to it,
parameters stand under the names of the module's state_dict, and their gradients under grad.<name>.
"""

import json
import pathlib
import struct

import torch

torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)


class Golden:
    """Collects tensors, and writes them as safetensors by nothing but struct and json."""

    TYPES = {torch.float32: "F32", torch.float64: "F64", torch.int64: "I64"}

    def __init__(self, script):
        self.path = pathlib.Path(script).with_suffix(".safetensors")
        self.tensors = {}

    def put(self, case, **named):
        """put("mse.mean", x=..., y=...): numbers may be Python's own (stored as f64)."""
        for what, value in named.items():
            self.set(f"{case}/{what}", value)

    def set(self, name, value):
        assert name not in self.tensors, name
        if not torch.is_tensor(value):
            value = torch.tensor(value, dtype=torch.float64)
        self.tensors[name] = value.detach().clone().contiguous()

    def module(self, case, module, gradients=True):
        """A module's state under its own names, and the gradients of its parameters."""
        for name, value in module.state_dict().items():
            self.set(f"{case}/{name}", value)
        if gradients:
            for name, parameter in module.named_parameters():
                if parameter.grad is not None:
                    self.set(f"{case}/grad.{name}", parameter.grad)

    def save(self):
        header, at, body = {"__metadata__": {"torch": torch.__version__}}, 0, []
        for name in sorted(self.tensors):
            tensor = self.tensors[name]
            data = tensor.numpy().tobytes()
            header[name] = {"dtype": self.TYPES[tensor.dtype], "shape": list(tensor.shape),
                            "data_offsets": [at, at + len(data)]}
            at += len(data)
            body.append(data)
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        self.path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(body))
        print(f"{self.path.name}: {len(self.tensors)} tensors, {self.path.stat().st_size} bytes")


def read(path):
    """A safetensors file read by nothing but struct and json."""
    data = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    types = {"F32": torch.float32, "F64": torch.float64, "I64": torch.int64}
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        part = bytearray(data[8 + length + begin:8 + length + end])
        flat = torch.frombuffer(part, dtype=types[entry["dtype"]]) if part else torch.empty(0, dtype=types[entry["dtype"]])
        tensors[name] = flat.reshape(entry["shape"])
    return tensors
