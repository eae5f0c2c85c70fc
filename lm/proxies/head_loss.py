"""Cross entropy of N output heads without their logits: pieces of these live for a moment, in a core's cache.

Logits are the largest tensors of a small model, and with fresh memory for them, for their logarithms and for their
gradient, cross entropy took half of a training step. Here the gradient of a piece is taken while the piece is there, in
the forward pass already (the idea of Liger Kernel's fused linear cross entropy, arXiv 2410.10989).
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

PIECE = {"cpu": 2**18, "cuda": 2**27}  # logits at once: 1 MB in a core's cache; .5 GB keep a GPU busy (assumed)
IGNORED = -100  # targets that do not count


def token_losses(out_NRD: Tensor, head_NVD: Tensor | None, target_NR: Tensor) -> Tensor:
    """Loss of every token, nats, 0 where ignored -> (N, R). Without gradient. out_NRD: hidden states, or, where there
    is no head, logits."""
    if head_NVD is None:
        return _of_logits(out_NRD, target_NR)
    loss_NR = torch.empty(target_NR.shape, device=target_NR.device)
    for models, rows in _pieces(head_NVD, target_NR):
        target = target_NR[models, rows, None]
        p = _probabilities(out_NRD[models, rows], head_NVD[models])
        loss_NR[models, rows] = _loss(p.gather(2, target.clamp(min=0)))[..., 0]
    return loss_NR.masked_fill_(target_NR == IGNORED, 0.0)


def mean_losses(out_NRD: Tensor, head_NVD: Tensor | None, target_NR: Tensor, weight_NR: Tensor) -> Tensor:
    """Sum of each model's token losses, weighted, nats -> (N,), with gradients to hidden states and heads. Weights are
    0 where the target is ignored. out_NRD: hidden states, or, where there is no head, logits."""
    if head_NVD is None:
        return (_of_logits(out_NRD, target_NR) * weight_NR).sum(1)
    return _MeanLosses.apply(out_NRD, head_NVD, target_NR, weight_NR)


def _of_logits(logits_NRV: Tensor, target_NR: Tensor) -> Tensor:
    losses = F.cross_entropy(logits_NRV.flatten(0, 1).float(), target_NR.flatten(), reduction="none")
    return losses.view(target_NR.shape)


class _MeanLosses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden_NRD: Tensor, head_NVD: Tensor, target_NR: Tensor, weight_NR: Tensor) -> Tensor:
        loss_N = torch.zeros(len(head_NVD), device=head_NVD.device)
        hidden_grad, head_grad = torch.empty_like(hidden_NRD), torch.zeros_like(head_NVD)
        for models, rows in _pieces(head_NVD, target_NR):
            hidden, head = hidden_NRD[models, rows], head_NVD[models]
            target, weight = target_NR[models, rows, None].clamp(min=0), weight_NR[models, rows, None]
            grad = _probabilities(hidden, head)
            loss_N[models] += (_loss(grad.gather(2, target)) * weight).sum((1, 2))
            grad.scatter_add_(2, target, grad.new_full((), -1.0).expand(target.shape))
            grad = grad.to(_dtype(head))
            hidden_grad[models, rows] = torch.bmm(grad, head.to(grad.dtype)) * weight
            head_grad[models] += torch.bmm((hidden * weight).mT.to(grad.dtype), grad).mT
        ctx.save_for_backward(hidden_grad, head_grad)
        return loss_N

    @staticmethod
    def backward(ctx: Any, upstream_N: Tensor) -> tuple[Tensor, Tensor, None, None]:
        hidden_grad, head_grad = ctx.saved_tensors
        scale = upstream_N[:, None, None]
        return (hidden_grad * scale).to(hidden_grad.dtype), head_grad * scale, None, None


def _probabilities(hidden: Tensor, head: Tensor) -> Tensor:
    logits = torch.bmm(hidden.to(_dtype(head)), head.mT.to(_dtype(head))).float()
    return torch.softmax(logits, -1, out=logits)


def _loss(p: Tensor) -> Tensor:
    """Nats; at most 87, for a chance too small for a float32 (a softmax is half of the cost of its logarithm)."""
    return -p.clamp(min=torch.finfo(p.dtype).tiny).log()


def _dtype(head: Tensor) -> torch.dtype:
    """Of the products: that of autocast, which leaves own functions alone."""
    kind = head.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32


def _pieces(head_NVD: Tensor, target_NR: Tensor) -> Iterator[tuple[slice, slice]]:
    """Models and rows; which rows go together does not depend on the number of models."""
    (num_models, num_rows), vocab = target_NR.shape, head_NVD.shape[1]
    most = max(1, PIECE[head_NVD.device.type] // vocab)  # rows of all models together
    rows = min(num_rows, most)
    models = max(1, most // rows)
    for first in range(0, num_models, models):
        for row in range(0, num_rows, rows):
            yield slice(first, first + models), slice(row, row + rows)
