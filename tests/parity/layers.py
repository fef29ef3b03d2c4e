"""Layers: outputs, and gradients of inputs and parameters, for layers.safetensors (see golden.py)."""

import torch
from torch import nn

from golden import Golden

golden = Golden(__file__)
torch.manual_seed(20)


def values(*shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype)


def fill(module):
    """Numbers that a layer does not begin with: PyTorch's norms would be ones and zeros."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.5 * torch.randn_like(parameter))


def case(name, module, x, dtype=torch.float64, call=None):
    """One forward and backward through a module."""
    module = module.to(dtype)
    fill(module)
    if x.is_floating_point():
        x = x.detach().to(dtype, copy=True).requires_grad_()
    y = call(module, x) if call else module(x)
    dy = torch.randn_like(y)
    y.backward(dy)
    golden.put(name, x=x, y=y, dy=dy)
    if x.requires_grad:
        golden.put(name, dx=x.grad)
    golden.module(name, module)
    return module


case("linear", nn.Linear(5, 3), values(4, 5))
case("linear.no_bias", nn.Linear(5, 3, bias=False), values(2, 3, 5))
case("linear.f32", nn.Linear(5, 3), values(4, 5), torch.float32)

case("conv1d", nn.Conv1d(3, 5, 3), values(2, 3, 11))
case("conv1d.all", nn.Conv1d(4, 6, 3, stride=2, padding=2, dilation=2, groups=2), values(2, 4, 11))
case("conv2d", nn.Conv2d(3, 5, 3), values(2, 3, 7, 5))
case("conv2d.strided", nn.Conv2d(3, 5, (3, 2), stride=(2, 1), padding=(1, 0)), values(2, 3, 7, 5))
case("conv2d.dilated", nn.Conv2d(3, 2, 3, padding=2, dilation=2, bias=False), values(2, 3, 7, 5))
case("conv2d.grouped", nn.Conv2d(4, 6, 3, groups=2, padding=1), values(2, 4, 5, 7))
case("conv2d.f32", nn.Conv2d(3, 5, 3, padding=1), values(2, 3, 7, 5), torch.float32)
case("conv_transpose2d", nn.ConvTranspose2d(3, 5, 3), values(2, 3, 5, 3))
case("conv_transpose2d.all", nn.ConvTranspose2d(4, 6, (3, 2), stride=(2, 3), padding=1, output_padding=(1, 2),
                                                dilation=(2, 1), groups=2), values(2, 4, 3, 5))
case("conv_transpose2d.f32", nn.ConvTranspose2d(3, 5, 3, stride=2, bias=False), values(2, 3, 5, 3), torch.float32)

case("max_pool1d", nn.MaxPool1d(3, stride=2, padding=1), values(2, 3, 11))
case("max_pool2d", nn.MaxPool2d(2), values(2, 3, 7, 6))
case("max_pool2d.padded", nn.MaxPool2d((3, 2), stride=2, padding=(1, 0)), values(2, 3, 7, 5))
case("avg_pool2d", nn.AvgPool2d(2), values(2, 3, 7, 6))
case("avg_pool2d.padded", nn.AvgPool2d(3, stride=2, padding=1), values(2, 3, 7, 5))
case("avg_pool2d.inside", nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False), values(2, 3, 7, 5))
case("global_avg_pool", nn.AdaptiveAvgPool2d(1), values(2, 3, 7, 5), call=lambda m, x: m(x).flatten(1))
case("flatten", nn.Flatten(), values(2, 3, 5))

case("embedding", nn.Embedding(7, 3), torch.tensor([[0, 6, 2], [2, 2, 5]]))
case("embedding.padding", nn.Embedding(7, 3, padding_idx=2), torch.tensor([[0, 6, 2], [2, 2, 5]]))


def batch_norm(name, module, *shape, dtype=torch.float64):
    """Two batches of training, the running statistics after them, and then a batch in use."""
    module = module.to(dtype)
    fill(module)
    golden.module(name, module)
    for step in ("train1", "train2", "eval"):
        module.train(step != "eval")
        module.zero_grad()
        x = (2 * torch.randn(*shape, dtype=dtype) + 1).requires_grad_()
        y = module(x)
        dy = torch.randn_like(y)
        y.backward(dy)
        golden.put(f"{name}.{step}", x=x, y=y, dy=dy, dx=x.grad)
        golden.module(f"{name}.{step}", module)


batch_norm("batch_norm1d", nn.BatchNorm1d(3), 7, 3)
batch_norm("batch_norm1d.signal", nn.BatchNorm1d(3, eps=0.1, momentum=0.3), 4, 3, 5)
batch_norm("batch_norm2d", nn.BatchNorm2d(3), 4, 3, 5, 3)
batch_norm("batch_norm2d.plain", nn.BatchNorm2d(3, affine=False, momentum=None), 4, 3, 5, 3)
batch_norm("batch_norm2d.untracked", nn.BatchNorm2d(3, track_running_stats=False), 4, 3, 5, 3)
batch_norm("batch_norm2d.f32", nn.BatchNorm2d(3), 4, 3, 5, 3, dtype=torch.float32)

case("layer_norm", nn.LayerNorm(7), values(3, 5, 7) + 2)
case("layer_norm.two", nn.LayerNorm((3, 5), eps=0.01), values(4, 3, 5))
case("layer_norm.plain", nn.LayerNorm(7, elementwise_affine=False), values(5, 7))
case("layer_norm.f32", nn.LayerNorm(7), values(3, 5, 7), torch.float32)


def attention(name, module, n, q, k=None, mask=None, padding=None, dtype=torch.float64):
    """Self-attention, or of other keys and values if there is a k.  Masks say True where nobody may look."""
    module = module.to(dtype)
    fill(module)
    dim = module.embed_dim
    inputs = [values(n, q, dim, dtype=dtype).requires_grad_()]
    if k is not None:
        inputs += [values(n, k, dim, dtype=dtype).requires_grad_() for _ in range(2)]
    query, key, value = inputs if k is not None else inputs * 3
    y, weights = module(query, key, value, attn_mask=mask, key_padding_mask=padding)
    dy = torch.randn_like(y)
    y.backward(dy)
    for what, x in zip(("query", "key", "value"), inputs):
        golden.put(name, **{what: x, "d" + what: x.grad})
    golden.put(name, y=y, dy=dy)
    golden.module(name, module)


def later(q):
    return torch.triu(torch.ones(q, q, dtype=torch.bool), 1)


lengths = torch.tensor([5, 2, 3])
padding = torch.arange(5)[None, :] >= lengths[:, None]
heads = dict(embed_dim=6, num_heads=3, batch_first=True)
attention("attention", nn.MultiheadAttention(**heads), 2, 5)
attention("attention.causal", nn.MultiheadAttention(**heads), 2, 5, mask=later(5))
attention("attention.no_bias", nn.MultiheadAttention(**heads, bias=False), 2, 5)
attention("attention.cross", nn.MultiheadAttention(**heads), 3, 4, 5, padding=padding)
golden.put("attention.cross", key_lengths=lengths)
attention("attention.f32", nn.MultiheadAttention(**heads), 2, 5, mask=later(5), dtype=torch.float32)

around = torch.cat([torch.linspace(-4, 4, 15, dtype=torch.float64), torch.tensor([-30.0, 30.0], dtype=torch.float64)])
for name, module in {
        "relu": nn.ReLU(), "leaky_relu": nn.LeakyReLU(), "leaky_relu.0.2": nn.LeakyReLU(0.2), "elu": nn.ELU(),
        "elu.0.5": nn.ELU(0.5), "gelu": nn.GELU(), "silu": nn.SiLU(), "softplus": nn.Softplus(), "mish": nn.Mish(),
        "sigmoid": nn.Sigmoid(), "tanh": nn.Tanh()}.items():
    case("activation." + name, module, around)
    case("activation." + name + ".f32", module, around, torch.float32)
case("activation.softmax", nn.Softmax(dim=-1), values(3, 5))
case("activation.softmax.0", nn.Softmax(dim=0), values(3, 5))

golden.save()
