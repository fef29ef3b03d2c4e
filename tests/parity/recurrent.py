"""RNN, LSTM, GRU and their cells as PyTorch computes them: outputs, states, and gradients of inputs, states, weights.

Besides golden.py's names: h, c are the states given, lengths what pack_padded_sequence was given, hn, cn the states that
came back, dhn, dcn the gradients given to those."""

import torch
from golden import Golden
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

torch.manual_seed(20)
golden = Golden(__file__)
BATCH, TIME, IN, HIDDEN = 3, 5, 2, 4


def layer(case, module, lengths=None, given=True, dtype=torch.float64):
    """One run over a sequence, with every gradient."""
    module = module.to(dtype)
    directions = 2 if module.bidirectional else 1
    is_lstm = isinstance(module, torch.nn.LSTM)
    x = torch.randn(BATCH, TIME, IN, dtype=dtype, requires_grad=True)
    state = [torch.randn(module.num_layers * directions, BATCH, HIDDEN, dtype=dtype, requires_grad=True)
             for _ in range(2 if is_lstm else 1)]
    put = lambda **named: golden.put(case, **named)
    put(x=x)
    argument = (tuple(state) if is_lstm else state[0]) if given else None
    if lengths is None:
        y, last = module(x, argument)
    else:
        put(lengths=torch.tensor(lengths))
        y, last = module(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False), argument)
        y, _ = pad_packed_sequence(y, batch_first=True, total_length=TIME)
    last = last if is_lstm else (last,)
    dy = torch.randn_like(y)
    dlast = [torch.randn_like(s) for s in last]
    torch.autograd.backward([y, *last], [dy, *dlast])
    put(y=y, dy=dy)
    for name, s, s0, ds in zip("hc", last, state, dlast):
        put(**{name + "n": s, "d" + name + "n": ds})
        if given:
            put(**{name: s0, "grad." + name: s0.grad})
    put(**{"grad.x": x.grad})
    golden.module(case, module)


def cell(case, module, dtype=torch.float64):
    module = module.to(dtype)
    is_lstm = isinstance(module, torch.nn.LSTMCell)
    x = torch.randn(BATCH, IN, dtype=dtype, requires_grad=True)
    state = [torch.randn(BATCH, HIDDEN, dtype=dtype, requires_grad=True) for _ in range(2 if is_lstm else 1)]
    last = module(x, tuple(state) if is_lstm else state[0])
    last = last if is_lstm else (last,)
    dlast = [torch.randn_like(s) for s in last]
    torch.autograd.backward(last, dlast)
    golden.put(case, x=x, **{"grad.x": x.grad})
    for name, s, s0, ds in zip("hc", last, state, dlast):
        golden.put(case, **{name: s0, name + "n": s, "d" + name + "n": ds, "grad." + name: s0.grad})
    golden.module(case, module)


KINDS = {"rnn": (torch.nn.RNN, torch.nn.RNNCell, {}),
         "relu": (torch.nn.RNN, torch.nn.RNNCell, {"nonlinearity": "relu"}),
         "lstm": (torch.nn.LSTM, torch.nn.LSTMCell, {}),
         "gru": (torch.nn.GRU, torch.nn.GRUCell, {})}

for name, (Layer, Cell, more) in KINDS.items():
    make = lambda **options: Layer(IN, HIDDEN, batch_first=True, **more, **options)
    layer(name + ".plain", make(), given=False)
    layer(name + ".state", make())
    layer(name + ".f32", make(), dtype=torch.float32)
    layer(name + ".unbiased", make(bias=False))
    layer(name + ".deep", make(num_layers=2))
    layer(name + ".both", make(bidirectional=True))
    layer(name + ".lengths", make(), lengths=[3, 5, 1])
    layer(name + ".all", make(num_layers=2, bidirectional=True), lengths=[2, 4, 3])
    cell(name + ".cell", Cell(IN, HIDDEN, **more))

golden.save()
