"""Packed documents are checked to be apart in float32, also where products are set to be rounded to TF32."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import GPT2Config, PretrainedConfig

from pretraingym.lm.io.errors import InputError
from pretraingym.lm.models.causal_lm import llama, ready_model
from pretraingym.lm.models.engine_config import EngineConfig
from pretraingym.lm.target.loss_model import LossModel

DEEP = llama(128, 256, 4, 16)
MODELS = {
    "llama": DEEP,
    "gpt2": GPT2Config(vocab_size=128, n_embd=128, n_layer=4, n_head=2, bos_token_id=0, eos_token_id=0),
}
PRODUCTS = {"mm": (0, 1), "bmm": (0, 1), "addmm": (1, 2), "baddbmm": (1, 2)}
ATTENTION = "_scaled_dot_product"
SUMS = 2e-7  # of a product's rms: what another order of its sums makes


def in_tf32(x: Any) -> Any:
    """Rounded to a significand of 11 bits."""
    if not isinstance(x, Tensor) or x.dtype != torch.float32:
        return x
    fraction, exponent = torch.frexp(x)
    return torch.ldexp(torch.round(fraction * 2**11) / 2**11, exponent)


class GPU(TorchDispatchMode):
    """Computes as a GPU does: sums in another order each time, factors rounded where TF32 is allowed."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.overloadpacket.__name__
        places = (0, 1, 2) if name.startswith(ATTENTION) else PRODUCTS.get(name, ())
        if torch.backends.cuda.matmul.fp32_precision == "tf32":
            args = tuple(in_tf32(x) if place in places else x for place, x in enumerate(args))
        found = function(*args, **(kwargs or {}))
        if name in PRODUCTS:
            found = found + SUMS * found.square().mean().sqrt() * torch.randn_like(found)
        return found


@contextmanager
def tf32_allowed() -> Iterator[None]:
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    matmul.fp32_precision = "tf32"
    try:
        with GPU():
            yield
    finally:
        matmul.fp32_precision = before


def a_model(config: PretrainedConfig) -> Any:
    return ready_model(config, 0, None, EngineConfig())


class Leaking(nn.Module):
    """After a layer: some of the token before."""

    def __init__(self, layer: nn.Module, share: float) -> None:
        super().__init__()
        self.layer, self.share = layer, share

    def forward(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Any:
        shifted = hidden.roll(1, 1) * (torch.arange(hidden.shape[1])[:, None] > 3)  # of the document before
        return self.layer(hidden + self.share * shifted, *args, **kwargs)


@pytest.mark.parametrize("kind", MODELS)
def test_a_sound_model_passes_where_products_are_rounded(kind: str) -> None:
    with tf32_allowed():
        assert in_tf32(torch.tensor(1.0 + 2**-11)) == 1.0
        LossModel(a_model(MODELS[kind]), EngineConfig(), torch.float32)
        assert torch.backends.cuda.matmul.fp32_precision == "tf32"


@pytest.mark.parametrize("share", [1.0, 0.03, 1e-3])
def test_a_small_leak_is_refused_where_products_are_rounded(share: float) -> None:
    model = a_model(DEEP)
    model.model.layers[0] = Leaking(model.model.layers[0], share)
    with tf32_allowed(), pytest.raises(InputError, match="LlamaForCausalLM does not keep packed documents apart"):
        LossModel(model, EngineConfig(), torch.float32)
    LossModel(model, EngineConfig(packing="plain"), torch.float32)


def test_rounded_products_would_hide_a_leak() -> None:
    """What TF32 makes of a sound model is more than the check allows, so that a wider tolerance would be no check."""
    model = a_model(DEEP)
    ids = torch.arange(8)[None]
    with torch.no_grad():
        exact = model(input_ids=ids, use_cache=False).logits
        with tf32_allowed():
            rounded = model(input_ids=ids, use_cache=False).logits
    assert (exact - rounded).square().mean().sqrt() > 2e-4 * exact.std()
