"""Models that see both ways are told from causal ones, in any precision, and left as they were."""

from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, BertConfig, GPT2Config, MambaConfig, MixtralConfig, XLMConfig

from pretraingym.lm.io.errors import InputError
from pretraingym.lm.models.causal_lm import llama
from pretraingym.lm.models.causality import check_causal

VOCABULARY, CONTEXT = 300, 32
SHAPE: dict[str, Any] = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64}
SHAPE |= {"num_attention_heads": 2, "max_position_embeddings": CONTEXT}
CAUSAL = {
    "llama": llama(VOCABULARY, 32, 2, CONTEXT),
    "gpt2": GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0),
    "experts": MixtralConfig(**SHAPE, num_key_value_heads=1, num_local_experts=4, router_jitter_noise=0.1),
    "recurrent": MambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, state_size=4),
    "decoder": BertConfig(**SHAPE, is_decoder=True),
}
BOTH_WAYS = {
    "bert": (BertConfig(**SHAPE), "set is_decoder to true"),
    "xlm": (XLMConfig(vocab_size=VOCABULARY, emb_dim=32, n_layers=2, n_heads=2), "set causal to true"),
}
PRECISIONS = torch.float32, torch.bfloat16, torch.float16


def a_model(config: Any, precision: torch.dtype = torch.float32) -> Any:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, dtype=precision).train()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", CAUSAL)
def test_causal_models_pass_and_are_left_as_they_were(kind: str, precision: torch.dtype) -> None:
    model = a_model(CAUSAL[kind], precision)
    next(model.children()).eval()
    modes = [module.training for module in model.modules()]
    with torch.no_grad():
        check_causal(model, VOCABULARY, CONTEXT)
    assert [module.training for module in model.modules()] == modes
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.get_input_embeddings()._forward_hooks


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", BOTH_WAYS)
def test_models_that_see_both_ways_are_refused(kind: str, precision: torch.dtype) -> None:
    config, advice = BOTH_WAYS[kind]
    with pytest.raises(InputError, match=f"sees the tokens that it is to predict.*{advice}"):
        check_causal(a_model(config, precision), VOCABULARY, CONTEXT)


@pytest.mark.parametrize("context", [2, 3, CONTEXT])
def test_one_token_ahead_is_enough(context: int) -> None:
    class Peeking(nn.Module):
        def forward(self, hidden: torch.Tensor) -> torch.Tensor:
            return hidden + 1e-3 * hidden.roll(-1, 1)

    model = a_model(CAUSAL["llama"])
    check_causal(model, VOCABULARY, context)
    model.model.norm = nn.Sequential(model.model.norm, Peeking())
    with pytest.raises(InputError, match="reads from left to right"):
        check_causal(model, VOCABULARY, context)


def test_an_embedding_that_is_not_called_as_a_module_is_told() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(VOCABULARY, 8)

        def forward(self, input_ids: torch.Tensor, use_cache: bool = False) -> torch.Tensor:
            return nn.functional.embedding(input_ids, self.table.weight)

    model = Functional()
    with pytest.raises(InputError, match="Functional does not call its embedding of tokens as a module"):
        check_causal(model, VOCABULARY, CONTEXT, model.forward)
