"""Writes features.safetensors: the first layers of a classifier that PyTorch trained, under its state_dict's names.

Needs PyTorch (Debian: python3-torch); the stories need only the file.  To make it again:
python3 tests/stories/features.py
"""
import csv
import pathlib
import sys

import torch

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here.parent / "parity"))
from golden import Golden  # noqa: E402

with open(here.parent.parent / "examples" / "data" / "wdbc.csv") as file:
    rows = list(csv.reader(file))
answers = rows[0].index("benign")
table = torch.tensor([[float(cell) for cell in row] for row in rows[1:]][:200])
y = table[:, [answers]]
x = torch.cat([table[:, :answers], table[:, answers + 1:]], 1)
x = (x - x.mean(0)) / x.std(0)

torch.manual_seed(0)
features = torch.nn.Sequential(torch.nn.Linear(10, 32), torch.nn.ReLU(), torch.nn.Linear(32, 16), torch.nn.ReLU())
model = torch.nn.Sequential(features, torch.nn.Linear(16, 1))
adam = torch.optim.Adam(model.parameters(), 1e-2)
for _ in range(100):
    adam.zero_grad()
    torch.nn.functional.binary_cross_entropy_with_logits(model(x), y).backward()
    adam.step()

golden = Golden(__file__)
for name, value in features.state_dict().items():
    golden.set(name, value)
golden.save()
