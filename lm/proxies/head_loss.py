"""Cross entropy of N output heads without their logits: only a piece of these exists at a time, in a core's cache.

Logits are the largest tensors of a small model, and with fresh memory for them, for their logarithms and for their
gradient, cross entropy took half of a training step. Here a piece's gradient is taken as soon as the piece is computed,
in the forward pass already (the idea of Liger Kernel's fused linear cross entropy, arXiv 2410.10989).

Where products are of half precision, a vocabulary is padded to a multiple of ALIGNED with tokens that are never
predicted: tensor cores are slow where a row is no multiple of 16 bytes, as of 50,257 tokens.

Shapes: hidden states (N, tokens, width), heads (N, vocabulary, width), logits (N, tokens, vocabulary), and targets,
token losses and token weights (N, tokens). The tokens are those of all windows, one after another.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

PIECE = {"cpu": 2**18}  # logits at once: 1 MB, in a core's cache
PIECE_OF_GPU = 2**27  # .5 GB keep any GPU busy (assumed)
ALIGNED = 64  # tokens; a row of logits in half precision is then whole cache lines of 128 bytes
IGNORED = -100  # targets that do not count


def token_losses(out: Tensor, head: Tensor | None, target: Tensor) -> Tensor:
    """Loss of every token, nats, 0 where ignored -> (N, tokens). Without gradient. out: hidden states, or logits where
    `head` is None."""
    if head is None:
        return _of_logits(out, target)
    losses = torch.empty(target.shape, device=target.device)
    vocabulary, head = head.shape[1], _aligned(head)
    for models, tokens in _pieces(head, target):
        some_targets = target[models, tokens, None]
        p = _probabilities(out[models, tokens], head[models], vocabulary)
        losses[models, tokens] = _loss(p.gather(2, some_targets.clamp(min=0)))[..., 0]
    return losses.masked_fill_(target == IGNORED, 0.0)


def weighted_losses(out: Tensor, head: Tensor | None, target: Tensor, weight: Tensor) -> Tensor:
    """Sum of each model's token losses, weighted, nats -> (N,), with gradients to hidden states and heads. Weights are
    0 where the target is ignored. out: hidden states, or logits where `head` is None."""
    if head is None:
        return (_of_logits(out, target) * weight).sum(1)
    return _WeightedLosses.apply(out, head, target, weight)


def _of_logits(logits: Tensor, target: Tensor) -> Tensor:
    losses = F.cross_entropy(logits.flatten(0, 1).float(), target.flatten(), reduction="none")
    return losses.view(target.shape)


class _WeightedLosses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        loss_N = torch.zeros(len(head), device=head.device)
        vocabulary, padded = head.shape[1], _aligned(head)
        hidden_grad, head_grad = torch.empty_like(hidden), torch.zeros_like(padded, dtype=head.dtype)
        for models, tokens in _pieces(padded, target):
            some_hidden, heads = hidden[models, tokens], padded[models]
            some_targets, weights = target[models, tokens, None].clamp(min=0), weight[models, tokens, None]
            grad = _probabilities(some_hidden, heads, vocabulary)
            loss_N[models] += (_loss(grad.gather(2, some_targets)) * weights).sum((1, 2))
            grad.scatter_add_(2, some_targets, grad.new_full((), -1.0).expand(some_targets.shape))
            grad = grad.to(heads.dtype)
            hidden_grad[models, tokens] = torch.bmm(grad, heads) * weights
            head_grad[models] += torch.bmm((some_hidden * weights).mT.to(grad.dtype), grad).mT
        ctx.save_for_backward(hidden_grad, head_grad[:, :vocabulary])
        return loss_N

    @staticmethod
    def backward(ctx: Any, upstream_N: Tensor) -> tuple[Tensor, Tensor, None, None]:
        hidden_grad, head_grad = ctx.saved_tensors
        scale = upstream_N[:, None, None]
        return (hidden_grad * scale).to(hidden_grad.dtype), head_grad * scale, None, None


def _aligned(head: Tensor) -> Tensor:
    """The heads in the type of the matrix products, padded with zeros if that is of half precision."""
    head = head.to(_dtype(head))
    return head if head.dtype == torch.float32 else F.pad(head, (0, 0, 0, -head.shape[1] % ALIGNED))


def _probabilities(hidden: Tensor, head: Tensor, vocabulary: int) -> Tensor:
    """(N, tokens, padded vocabulary): 0 for what pads it."""
    logits = torch.bmm(hidden.to(head.dtype), head.mT).float()
    logits[..., vocabulary:] = -torch.inf
    return torch.softmax(logits, -1, out=logits)


def _loss(p: Tensor) -> Tensor:
    """Nats; at most 87, for a probability too small for a float32 (a softmax takes half as long as its logarithm)."""
    return -p.clamp(min=torch.finfo(p.dtype).tiny).log()


def _dtype(head: Tensor) -> torch.dtype:
    """Type of the matrix products: autocast's, which does not reach into autograd functions of one's own."""
    kind = head.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32


def _pieces(head: Tensor, target: Tensor) -> Iterator[tuple[slice, slice]]:
    """(models, tokens) of each piece; which tokens go together does not depend on the number of models."""
    (num_models, num_tokens), vocabulary = target.shape, head.shape[1]
    most = PIECE.get(head.device.type, PIECE_OF_GPU) // vocabulary  # tokens of all models together
    most = max(1, most // ALIGNED * ALIGNED or most)  # tokens are an axis of the head's gradient, too
    tokens = min(num_tokens, most)
    models = max(1, most // tokens)
    for first in range(0, num_models, models):
        for token in range(0, num_tokens, tokens):
            yield slice(first, first + models), slice(token, token + tokens)
