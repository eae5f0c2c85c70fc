"""Attention without masks: which models take it, and that documents in a sequence are as in sequences of their own."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import BertConfig, Gemma2Config, GPT2Config, PretrainedConfig, Qwen3Config

from pretraingym.lm.models.causal_lm import llama, new_model
from pretraingym.lm.models.optimizer_config import OptimizerConfig
from pretraingym.lm.proxies.attention import NAME, Documents, causal_attention, take_causal_attention
from pretraingym.lm.proxies.shard import Shard

CONTEXT = 32
SHAPE: dict[str, Any] = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64}
SHAPE |= {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": CONTEXT}
SHAPE |= {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}


def windowed(window: int) -> PretrainedConfig:
    return Qwen3Config(**SHAPE, use_sliding_window=True, sliding_window=window, max_window_layers=1)


BERT: dict[str, Any] = {name: value for name, value in SHAPE.items() if name not in ("num_key_value_heads", "head_dim")}
CONFIGS: dict[str, tuple[PretrainedConfig, str]] = {
    "both ways": (BertConfig(**BERT), "sdpa"),
    "llama": (llama(64, 32, 2, CONTEXT), NAME),
    "gpt2": (GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0), NAME),
    "grouped heads": (Qwen3Config(**SHAPE), NAME),
    "a window of all": (windowed(CONTEXT), NAME),
    "a window of some": (windowed(CONTEXT - 1), "sdpa"),
    "capped scores": (Gemma2Config(**SHAPE), "eager"),
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_models_take_it_where_it_computes_the_same(kind: str) -> None:
    config, expected = CONFIGS[kind]
    model, ids = new_model(config, 0).eval(), torch.randint(0, 64, (2, CONTEXT))
    with torch.no_grad():
        before = model(input_ids=ids, use_cache=False).logits
        take_causal_attention(model, CONTEXT)
        assert model.config._attn_implementation == expected
        assert torch.equal(model(input_ids=ids, use_cache=False).logits, before)
    config._attn_implementation = "sdpa"


class Heads(torch.nn.Module):
    is_causal, num_key_value_groups = True, 2


LENGTHS = (3, 1, 4), (8,), (6, 2)  # of the documents in three sequences


def heads() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(3, count, 8, 8, generator=generator).requires_grad_() for count in (4, 2, 2)]


def forms(varlen_on_cpu: Any) -> dict[str, Documents]:
    each = tuple(length for sequence in LENGTHS for length in sequence)
    bounds = torch.tensor([0, *np.cumsum(each), 24, 24], dtype=torch.int32)
    document = torch.repeat_interleave(torch.tensor(each)).view(3, 1, 8)
    mask = (document[..., None] == document[..., None, :]) & torch.ones(8, 8, dtype=torch.bool).tril()
    return {"bounds": Documents(bounds, 8), "lengths": Documents(lengths=each), "mask": Documents(mask=mask)}


@pytest.mark.parametrize("form", ["bounds", "lengths", "mask"])
def test_documents_are_as_if_alone(form: str, varlen_on_cpu: Any) -> None:
    inputs = heads()
    out, _ = causal_attention(Heads(), *inputs, None, forms(varlen_on_cpu)[form], scaling=0.7, dropout=0.0)
    rows = []
    for sequence, lengths in enumerate(LENGTHS):
        parts = zip(*(x[sequence : sequence + 1].split(lengths, 2) for x in inputs), strict=True)
        alone = [
            torch.nn.functional.scaled_dot_product_attention(*part, is_causal=True, scale=0.7, enable_gqa=True)
            for part in parts
        ]
        rows.append(torch.cat(alone, 2))
    expected = torch.cat(rows).transpose(1, 2)
    torch.testing.assert_close(out, expected)
    weight = torch.randn(out.shape)
    grads = (torch.autograd.grad((x * weight).sum(), inputs) for x in (out, expected))
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("asked", [{"dropout": 0.1}, {"is_causal": False}, {"position_bias": torch.zeros(1)}])
def test_documents_leave_nothing_out_that_a_model_asks_for(asked: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Heads .*, expected"):
        causal_attention(Heads(), *heads(), None, Documents(lengths=(8, 8, 8)), **asked)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("form", [None, "bounds"])
def test_a_layer_compiles_without_a_break(form: str | None, varlen_on_cpu: Any) -> None:
    model = new_model(llama(64, 32, 1, CONTEXT), 0)
    take_causal_attention(model)
    documents = {} if form is None else {"documents": forms(varlen_on_cpu)[form]}
    ids = torch.arange(24).view(3, 8)
    expected = model(input_ids=ids, use_cache=False, **documents).logits
    model.model.layers[0].compile(fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(model(input_ids=ids, use_cache=False, **documents).logits, expected)


def test_a_stack_waits_for_no_number(waits: Any) -> None:
    shard = Shard(llama(64, 32, 1, CONTEXT), OptimizerConfig(), 2, 0.9, "cpu")
    for index in range(2):
        shard.start(index, index)
    tokens = torch.randint(0, 64, (2, 8, CONTEXT))
    with waits() as seen:
        shard.train_step(tokens, torch.ones(2))
        shard.evaluate(tokens)
        shard.gradient(tokens)
    assert not seen
