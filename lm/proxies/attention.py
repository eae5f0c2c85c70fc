"""Causal attention without masks, for any transformers model that takes an attention function from outside.

Transformers looks in every forward pass whether the positions begin again, which makes a GPU wait for this process, and
gives the attention of packed documents a mask of every pair of positions, which rules out flash attention. Here masks
are never asked for: attention is torch's causal one, and where documents lie in the sequences comes with the pass.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from ..models.causality import evaluating

NAME, TRIAL = "pretraingym", "pretraingym_trial"  # of the attention, as models are told
LONG = 2**17  # tokens that a model is taken to read whose config does not say
CAUSAL = (-1, 0)  # the window of `varlen_attn` that makes it causal
# From torch 2.12 it asks to be told that there are fewer heads of keys than of queries; 2.11 just takes them.
GROUPED = {"enable_gqa": True} if "enable_gqa" in inspect.signature(varlen_attn).parameters else {}


@dataclass(eq=False)  # and not frozen: torch.compile would compile again for any other lengths
class Documents:
    """Where the documents lie in the sequences of a pass, which they fill one after another; one of three is given.

    `bounds`: int32, (documents + 1,), the first token of each among all tokens of the pass, and the end, which may
    stand there several times; `longest`: no document has more tokens; `lengths`: tokens of each; `mask`: bool,
    (sequences, 1, positions, positions), which positions each one sees."""

    bounds: Tensor | None = None
    longest: int = 0
    lengths: tuple[int, ...] = ()
    mask: Tensor | None = None


def causal_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    documents: Documents | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attention of `transformers`' interface: heads (sequences, heads, positions, size) -> (sequences, positions,
    heads, size), None. It does what transformers' sdpa does, within documents where these are given. ValueError: it
    cannot, with such options."""
    if documents is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    _check_options(module, attention_mask, options)
    if documents.bounds is not None:
        return _variable_length(query, key, value, documents, options.get("scaling")), None
    if documents.mask is not None:
        return sdpa_attention_forward(module, query, key, value, documents.mask, **options)
    return _one_by_one(module, query, key, value, documents, options), None


def _check_options(module: nn.Module, attention_mask: Tensor | None, options: dict[str, Any]) -> None:
    """ValueError: attention within documents would leave out something that the model asks for."""
    causal = options.get("is_causal")
    if not (getattr(module, "is_causal", True) if causal is None else causal):
        raise ValueError(f"{type(module).__name__} sees both ways, expected causal attention")
    # Sdpa heeds these too; of all other options it knows nothing.
    given = [name for name in ("position_bias", "cache", "softcap") if options.get(name) is not None]
    if given or attention_mask is not None or options.get("dropout"):
        raise ValueError(f"{type(module).__name__} asks for {given or 'a mask or dropout'}, expected neither")


def _variable_length(query: Tensor, key: Tensor, value: Tensor, documents: Documents, scale: float | None) -> Tensor:
    """Flash attention of all documents at once."""
    kind = query.device.type  # autocast does not reach into this kernel, and rotary embeddings are float32
    products = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else value.dtype
    heads = [x.transpose(1, 2).flatten(0, 1).to(products) for x in (query, key, value)]
    bounds, longest = documents.bounds, documents.longest
    options: dict[str, Any] = {"scale": scale, "window_size": CAUSAL} | GROUPED
    assert bounds is not None
    out: Any = varlen_attn(heads[0], heads[1], heads[2], bounds, bounds, longest, longest, **options)
    return out.unflatten(0, (query.shape[0], query.shape[2]))


@torch.compiler.disable  # type: ignore[untyped-decorator] # or it would be compiled for each list of lengths
def _one_by_one(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, documents: Documents, options: dict[str, Any]
) -> Tensor:
    """A call for each document: on any device, in any precision, with heads of any size."""
    heads = [x.transpose(1, 2).flatten(0, 1).split(documents.lengths) for x in (query, key, value)]
    parts = []
    for document in zip(*heads, strict=True):
        q, k, v = (part.transpose(0, 1)[None] for part in document)
        parts.append(sdpa_attention_forward(module, q, k, v, None, **options)[0])
    return torch.cat(parts, 1).view(query.shape[0], query.shape[2], *parts[0].shape[2:])


def take_causal_attention(model: Any, context: int | None = None) -> None:
    """Have a transformers model use `causal_attention`, if that computes the same as its sdpa on `context` tokens
    (default: on as many as its config names); else it stays as it is. So do models with windows, chunks or masks."""
    if model.config._attn_implementation != "sdpa":
        return
    text = model.config.get_text_config(decoder=True)
    longest = context or getattr(text, "max_position_embeddings", None) or LONG
    ids = torch.arange(4, device=model.device)[None]
    with torch.no_grad(), evaluating(model), _trial(model, longest) as plain:
        own = model(input_ids=ids, use_cache=False).logits
        model.set_attn_implementation(TRIAL)
        try:
            other = model(input_ids=ids, use_cache=False).logits
        except (TypeError, ValueError, RuntimeError, IndexError):  # it asks for what `causal_attention` has not
            return
    if plain == {True} and torch.allclose(own, other, rtol=1e-4, atol=1e-6):
        model.set_attn_implementation(NAME)


@contextmanager
def _trial(model: Any, context: int) -> Iterator[set[bool]]:
    """Inside, the model can be given `causal_attention` as TRIAL, then gets no masks, and of each mask that it asks for
    the set is told whether it is the plain causal one."""
    plain: set[bool] = set()

    def no_mask(mask_function: Callable[..., Tensor], device: torch.device | str = "cpu", **asked: Any) -> None:
        first, last = torch.tensor([[0], [context - 1]], device=device)
        keys = torch.arange(context, device=device)
        zero = torch.zeros(1, dtype=torch.long, device=device)  # of which sequence and head
        sees_first, sees_last = (mask_function(zero, zero, row, keys).expand(context) for row in (first, last))
        plain.add(bool(sees_last.all() and not sees_first[1:].any()))

    AttentionInterface.register(TRIAL, causal_attention)
    AttentionMaskInterface.register(TRIAL, no_mask)
    try:
        yield plain
    finally:
        model.set_attn_implementation("sdpa")


# No mask function is registered with it, not even one that makes none: before transformers calls that, it looks at the
# positions, and a GPU waits.
AttentionInterface.register(NAME, causal_attention)
