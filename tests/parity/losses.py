"""Losses: values, and gradients by prediction and target, with every reduction, weight and option.

Tensors of a case: x and target; row_weights, class_weights, pos_weight, delta, beta and label_smoothing if it has
them; and for each reduction, e.g. mean, y.mean, dy.mean, grad.x.mean and, of targets that are no class numbers,
grad.target.mean.
"""

import torch
import torch.nn.functional as F

from golden import Golden

golden = Golden(__file__)
torch.manual_seed(5)


def case(name, loss, x, target, rows=None, **options):
    """loss(x, target, reduction) -> tensor; with `rows` it is weighed here, as Keras' sample_weight does."""
    golden.put(name, x=x, target=target, **options)
    if rows is not None:
        golden.put(name, row_weights=rows)
    for reduction in ("mean", "sum", "none"):
        p = x.clone().requires_grad_()
        t = target.clone().requires_grad_(target.is_floating_point())
        y = loss(p, t, "none" if rows is not None else reduction)
        if rows is not None:
            y = y * rows.reshape([-1] + [1] * (y.dim() - 1))
            y = y if reduction == "none" else y.sum() if reduction == "sum" else y.mean()
        dy = torch.randn(y.shape, dtype=x.dtype)
        y.backward(dy)
        golden.put(name, **{f"y.{reduction}": y, f"dy.{reduction}": dy, f"grad.x.{reduction}": p.grad})
        if t.requires_grad:
            golden.put(name, **{f"grad.target.{reduction}": t.grad})


def numbers(*shape, dtype=torch.float64):
    return torch.randn(shape, dtype=dtype)


def unit(*shape, dtype=torch.float64):
    return torch.rand(shape, dtype=dtype) * 0.98 + 0.01


for dtype, end in ((torch.float64, ""), (torch.float32, ".f32")):
    x, target = numbers(5, 3, dtype=dtype) * 2, numbers(5, 3, dtype=dtype)
    rows = unit(5, dtype=dtype)
    elementwise = {
        "mse": (F.mse_loss, x, target),
        "l1": (F.l1_loss, x, target),
        "huber": (F.huber_loss, x, target),
        "smooth_l1": (F.smooth_l1_loss, x, target),
        "bce": (F.binary_cross_entropy, unit(5, 3, dtype=dtype), unit(5, 3, dtype=dtype)),
        "bce_logits": (F.binary_cross_entropy_with_logits, x * 3, unit(5, 3, dtype=dtype)),
    }
    for name, (loss, p, t) in elementwise.items():
        by_name = lambda p, t, reduction, loss=loss: loss(p, t, reduction=reduction)
        case(name + end, by_name, p, t)
        case(name + ".rows" + end, by_name, p, t, rows)

    case("huber.delta" + end, lambda p, t, reduction: F.huber_loss(p, t, reduction=reduction, delta=0.3),
         x, target, delta=0.3)
    case("smooth_l1.beta" + end, lambda p, t, reduction: F.smooth_l1_loss(p, t, reduction=reduction, beta=2.5),
         x, target, beta=2.5)
    pos = unit(3, dtype=dtype) * 4
    with_pos = lambda p, t, reduction: F.binary_cross_entropy_with_logits(p, t, reduction=reduction, pos_weight=pos)
    case("bce_logits.pos" + end, with_pos, x, unit(5, 3, dtype=dtype), pos_weight=pos)

    # Classes on the last axis: PyTorch has them on the second.
    classes = unit(4, dtype=dtype)
    z, labels = numbers(7, 4, dtype=dtype) * 2, torch.tensor([3, 0, 1, 1, 2, 0, 3])
    some = torch.tensor([3, -100, 1, 1, -100, 0, 3])
    steps, step_labels = numbers(3, 5, 4, dtype=dtype), torch.randint(0, 4, (3, 5))
    step_some = torch.where(torch.rand(3, 5) < 0.3, torch.tensor(-100), step_labels)
    soft = torch.softmax(numbers(7, 4, dtype=dtype), 1)
    for weighted in (False, True):
        w = classes if weighted else None
        given = {"class_weights": classes} if weighted else {}
        tag = ".classes" if weighted else ""
        nll = lambda p, t, reduction: F.nll_loss(p.movedim(-1, 1), t, weight=w, reduction=reduction)
        for kind, p, t in (("", z, labels), (".ignored", z, some), (".steps", steps, step_labels),
                           (".steps.ignored", steps, step_some)):
            case(f"nll{kind}{tag}{end}", nll, torch.log_softmax(p, -1), t, **given)
            for smoothing in (0, 0.2):
                ce = lambda p, t, reduction: F.cross_entropy(p.movedim(-1, 1), t, weight=w, reduction=reduction,
                                                             label_smoothing=smoothing)
                case(f"ce{kind}{tag}{'.smooth' if smoothing else ''}{end}", ce, p, t, **given,
                     label_smoothing=smoothing)
        for smoothing in (0, 0.2):
            ce = lambda p, t, reduction: F.cross_entropy(p, t, weight=w, reduction=reduction, label_smoothing=smoothing)
            case(f"ce.soft{tag}{'.smooth' if smoothing else ''}{end}", ce, z, soft, **given,
                 label_smoothing=smoothing)
    of_rows = lambda p, t, reduction: F.cross_entropy(p, t, reduction=reduction)
    case("ce.rows" + end, of_rows, z, labels, unit(7, dtype=dtype))

    log_p = torch.log_softmax(numbers(5, 3, dtype=dtype), 1)
    q = torch.softmax(numbers(5, 3, dtype=dtype), 1)
    kl = lambda p, t, reduction: F.kl_div(p, t, reduction="batchmean" if reduction == "mean" else reduction)
    case("kl" + end, kl, log_p, q)
    kl = lambda p, t, reduction: F.kl_div(p, t, reduction="batchmean" if reduction == "mean" else reduction,
                                          log_target=True)
    case("kl_log" + end, kl, log_p, torch.log(q))

golden.save()
