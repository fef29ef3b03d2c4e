"""A model of every layer that has weights: its state_dict, and in state_io.safetensors what its layers make of inputs.

The model is the State of tests/state_dict.h, which reads the one and must give the other.  tests/parity/back.py goes the
other way, and imports it from here.
"""

import pathlib

import torch
from torch import nn

from golden import Golden


class State(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(10, 7)
        self.plain = nn.Linear(7, 3, bias=False)
        self.conv1d = nn.Conv1d(2, 4, 3)
        self.conv2d = nn.Conv2d(4, 6, (3, 5), groups=2)
        self.conv_transpose2d = nn.ConvTranspose2d(6, 4, 3, groups=2)
        self.batch_norm = nn.BatchNorm2d(6)
        self.layer_norm = nn.LayerNorm(5)
        self.embedding = nn.Embedding(11, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.rnn = nn.RNN(3, 4, batch_first=True)
        self.lstm = nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(3, 4, batch_first=True)
        self.cell = nn.LSTMCell(3, 4)
        self.block = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Sequential(nn.Linear(3, 1)))

    def apply_layer(self, name, x):
        """What the layer of that name makes of x; of the cell, h and c side by side."""
        layer = getattr(self, name)
        y = layer(x, x, x) if name == "attention" else layer(x)
        if name == "cell":
            return torch.cat(y, dim=-1)
        return y[0] if isinstance(y, tuple) else y


SHAPES = {"linear": (5, 10), "plain": (5, 7), "conv1d": (2, 2, 9), "conv2d": (2, 4, 7, 9),
          "conv_transpose2d": (2, 6, 5, 3), "batch_norm": (3, 6, 2, 5), "layer_norm": (3, 5), "attention": (2, 5, 8),
          "rnn": (2, 5, 3), "lstm": (2, 5, 3), "gru": (2, 5, 3), "cell": (5, 3), "block": (5, 2)}

if __name__ == "__main__":
    torch.manual_seed(30)
    model = State()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.7, 0.7)
        for _ in range(2):  # moves the running statistics
            model.batch_norm(1 + 2 * torch.randn(5, 6, 3, 2))
        model.eval()

        state, io = Golden(__file__), Golden(pathlib.Path(__file__).with_name("state_io.py"))
        for name, value in model.state_dict().items():
            state.set(name, value)
        inputs = {name: torch.randn(shape) for name, shape in SHAPES.items()}
        inputs["embedding"] = torch.tensor([[0, 10, 3], [7, 3, 1]])
        for name, x in inputs.items():
            io.put(name, x=x, y=model.apply_layer(name, x))
    state.save()
    io.save()
