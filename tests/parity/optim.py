"""Optimizers: the parameters after 1, 10 and 100 steps; schedules: the learning rate over 100.

Every optimizer goes down the same hill: the loss is ½·w·A·w − b·w + Σ u⁴/4 − c·u over a matrix w [3, 5] and a vector
u [7]; A [15, 15] is symmetric and positive, so both sides compute the gradients A·w − b and u³ − c alike.
"""

import math

import torch

from golden import Golden

golden = Golden(__file__)
generator = torch.Generator().manual_seed(7)


def draw(*shape):
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


root = draw(15, 15)
hill = {"A": root @ root.T / 15 + 0.1 * torch.eye(15, dtype=torch.float64), "b": draw(15), "c": draw(7),
        "w": draw(3, 5), "u": draw(7)}
golden.put("hill", **hill)


class Lion(torch.optim.Optimizer):
    """Chen et al. 2023, algorithm 2; PyTorch has none."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            (beta1, beta2), lr = group["betas"], group["lr"]
            for p in group["params"]:
                m = self.state[p].setdefault("exp_avg", torch.zeros_like(p))
                p.mul_(1 - lr * group["weight_decay"])
                p.sub_(lr * torch.sign(beta1 * m + (1 - beta1) * p.grad))
                m.mul_(beta2).add_((1 - beta2) * p.grad)


class NAdam(torch.optim.NAdam):
    """PyTorch 1.13 has two: where it takes tensors one by one, the next step's product of momenta has this step's twice;
    where it takes lists (foreach), once, as it should.  It keeps the product in the default type, which must be f64."""

    def __init__(self, params, **options):
        super().__init__(params, foreach=True, **options)

    def step(self, closure=None):
        torch.set_default_dtype(torch.float64)
        super().step(closure)
        torch.set_default_dtype(torch.float32)


def descend(case, make, dtype=torch.float64, closure=False, steps=(1, 10, 100)):
    A, b, c = (hill[name].to(dtype) for name in ("A", "b", "c"))
    w, u = (hill[name].to(dtype).clone().requires_grad_() for name in ("w", "u"))
    optimizer = make([w, u])

    def evaluate():
        with torch.no_grad():
            flat = w.reshape(15)
            w.grad = (A @ flat - b).reshape(3, 5)
            u.grad = u ** 3 - c
            return 0.5 * flat @ A @ flat - b @ flat + (u ** 4 / 4 - c * u).sum()

    for t in range(1, max(steps) + 1):
        if closure:
            optimizer.step(evaluate)
        else:
            evaluate()
            optimizer.step()
        if t in steps:
            golden.put(case, **{f"w.{t}": w, f"u.{t}": u})


O = torch.optim
optimizers = {
    "sgd": lambda p: O.SGD(p, lr=0.05),
    "sgd.decay": lambda p: O.SGD(p, lr=0.05, weight_decay=0.1),
    "sgd.momentum": lambda p: O.SGD(p, lr=0.02, momentum=0.9, weight_decay=0.1),
    "sgd.nesterov": lambda p: O.SGD(p, lr=0.02, momentum=0.8, weight_decay=0.1, nesterov=True),
    "adam": lambda p: O.Adam(p, lr=0.02),
    "adam.decay": lambda p: O.Adam(p, lr=0.02, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1),
    "adam.amsgrad": lambda p: O.Adam(p, lr=0.1, betas=(0.9, 0.9), weight_decay=0.1, amsgrad=True),
    "adamw": lambda p: O.AdamW(p, lr=0.02),
    "adamw.amsgrad": lambda p: O.AdamW(p, lr=0.1, betas=(0.9, 0.9), weight_decay=0.1, amsgrad=True),
    "adamax": lambda p: O.Adamax(p),
    "adamax.decay": lambda p: O.Adamax(p, lr=0.05, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1),
    "nadam": NAdam,
    "nadam.decay": lambda p: NAdam(p, lr=0.02, betas=(0.8, 0.95), weight_decay=0.1, momentum_decay=0.1),
    "radam": lambda p: O.RAdam(p, lr=0.02),
    "radam.decay": lambda p: O.RAdam(p, lr=0.02, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1),
    "rmsprop": lambda p: O.RMSprop(p),
    "rmsprop.momentum": lambda p: O.RMSprop(p, lr=0.005, alpha=0.9, momentum=0.8, weight_decay=0.1),
    "rmsprop.centered": lambda p: O.RMSprop(p, lr=0.005, alpha=0.9, eps=1e-3, centered=True),
    "rmsprop.both": lambda p: O.RMSprop(p, lr=0.002, alpha=0.9, eps=1e-3, momentum=0.8, centered=True),
    "adagrad": lambda p: O.Adagrad(p, lr=0.1),
    "adagrad.decay": lambda p: O.Adagrad(p, lr=0.2, lr_decay=0.05, weight_decay=0.1, initial_accumulator_value=0.3),
    "adadelta": lambda p: O.Adadelta(p),
    "adadelta.decay": lambda p: O.Adadelta(p, lr=0.5, rho=0.8, eps=1e-4, weight_decay=0.1),
    "lion": lambda p: Lion(p, lr=0.01),
    "lion.decay": lambda p: Lion(p, lr=0.01, betas=(0.8, 0.95), weight_decay=0.1),
    "groups": lambda p: O.AdamW([{"params": [p[0]], "lr": 0.005}, {"params": [p[1]], "weight_decay": 0.5}], lr=0.02),
}
for case, make in optimizers.items():
    descend(case, make)
    # These two arrive before the 100th step, where a gradient is but rounding, and divide it by its own last sizes: they
    # take steps of full size in a direction that its last bits choose.
    arrived = case in ("adamax.decay", "rmsprop.momentum")
    descend(case + ".f32", make, torch.float32, steps=(1, 10) if arrived else (1, 10, 100))
descend("lbfgs", lambda p: O.LBFGS(p, lr=0.3, max_iter=4, history_size=3), closure=True, steps=(1, 4))
descend("lbfgs.wolfe", lambda p: O.LBFGS(p, max_iter=5, line_search_fn="strong_wolfe"), closure=True, steps=(1, 2))
descend("lbfgs.wolfe.far", lambda p: O.LBFGS(p, lr=20, max_iter=3, history_size=2, line_search_fn="strong_wolfe"),
        closure=True, steps=(1, 2))
descend("lbfgs.wolfe.near", lambda p: O.LBFGS(p, lr=0.01, max_iter=3, line_search_fn="strong_wolfe"),
        closure=True, steps=(1, 2))
descend("lbfgs.wolfe.f32", lambda p: O.LBFGS(p, max_iter=3, line_search_fn="strong_wolfe"), torch.float32,
        closure=True, steps=(1, 2))


def search(case, start, lr, loss):
    """Where a line search over a loss with valleys and waves leads, step by step."""
    x = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = O.LBFGS([x], lr=lr, max_iter=2, line_search_fn="strong_wolfe")

    def evaluate():
        optimizer.zero_grad()
        value = loss(x)
        value.backward()
        return value

    golden.put(case, start=x, lr=lr)
    for t in range(4):
        optimizer.step(evaluate)
        golden.put(case, **{f"x.{t}": x})


# The last three reach what a search seldom does: a rise before any bracket, a bracket turned over, a trial stuck at its end.
for i, (start, lr) in enumerate([([-1.2, 1.0], 1.0), ([-1.2, 1.0], 0.01), ([2.0, -3.0], 0.1), ([-3.0, -4.0], 1e-3),
                                 ([-0.6, -3.6], 2.0), ([-2.1, 3.9], 5.0), ([0.4, 1.7], 2.0)]):
    search(f"lbfgs.valley.{i}", start, lr, lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2)
    search(f"lbfgs.waves.{i}", start, lr, lambda x: (x ** 2 / 10 + torch.sin(3 * x)).sum())


def rates(case, make, steps=100, base=0.5):
    optimizer = O.SGD([torch.zeros(1, requires_grad=True)], lr=base)
    schedule, seen = make(optimizer), []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    golden.put(case, lr=seen)


L = O.lr_scheduler
rates("schedule.step", lambda o: L.StepLR(o, 30, 0.3))
rates("schedule.multi_step", lambda o: L.MultiStepLR(o, [10, 11, 60], 0.3))
rates("schedule.exponential", lambda o: L.ExponentialLR(o, 0.95))
rates("schedule.polynomial", lambda o: L.PolynomialLR(o, 80, 1.7))
rates("schedule.linear", lambda o: L.LinearLR(o, 1.0, 0.2, 70))
rates("schedule.cosine", lambda o: L.CosineAnnealingLR(o, 100, eta_min=0.05))
rates("schedule.restarts", lambda o: L.CosineAnnealingWarmRestarts(o, 30, eta_min=0.05))
rates("schedule.growing", lambda o: L.CosineAnnealingWarmRestarts(o, 7, T_mult=3, eta_min=0.05))
rates("schedule.one_cycle", lambda o: L.OneCycleLR(o, max_lr=0.5, total_steps=101, cycle_momentum=False))
rates("schedule.one_cycle.linear", lambda o: L.OneCycleLR(
    o, max_lr=0.5, total_steps=101, pct_start=0.25, anneal_strategy="linear", div_factor=10, final_div_factor=100,
    cycle_momentum=False))
rates("schedule.lambda", lambda o: L.LambdaLR(o, lambda t: 1 / (1 + t)))
rates("schedule.warm_up", lambda o: L.SequentialLR(
    o, [L.LinearLR(o, 0.1, 1.0, 20), L.CosineAnnealingLR(o, 80)], [20]))


def plateau(case, **options):
    optimizer = O.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    schedule, seen = L.ReduceLROnPlateau(optimizer, **options), []
    measured = [math.exp(-t / 10) + 0.3 + 0.01 * math.sin(2.0 * t) for t in range(100)]
    for value in measured:
        schedule.step(value if options.get("mode") != "max" else 3 - value)
        seen.append(optimizer.param_groups[0]["lr"])
    golden.put(case, lr=seen, measured=measured)


plateau("schedule.plateau")
plateau("schedule.plateau.lowest", factor=0.5, patience=2, threshold=0.01, cooldown=3, min_lr=0.01)
plateau("schedule.plateau.highest", mode="max", factor=0.5, patience=3, threshold=0.001)

golden.save()
