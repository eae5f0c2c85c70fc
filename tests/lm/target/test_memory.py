"""What the plan claims of memory, against what passes of real models keep."""

from typing import Any

import pytest
import torch
from transformers import BertConfig, GPT2Config, PretrainedConfig

from pretraingym.lm.models.causal_lm import llama, ready_model
from pretraingym.lm.models.engine_config import EngineConfig
from pretraingym.lm.target.loss_model import LossModel
from pretraingym.lm.target.memory import activation_bytes, memory_bytes

CONTEXT, SEQUENCES = 64, 3
MODELS = {
    "llama": llama(512, 128, 4, CONTEXT),
    "gpt2": GPT2Config(vocab_size=512, n_embd=128, n_layer=4, n_head=2, n_positions=CONTEXT),
}


def kept_bytes(config: PretrainedConfig, engine: EngineConfig, half: bool, sequences: int) -> int:
    """What a forward pass of a real model keeps, but its weights."""
    model = LossModel(ready_model(config, 0, None, engine), engine, torch.float32)
    if engine.compile:
        for layer in model.layers:
            layer.compile(backend="aot_eager_decomp_partition")  # keeps what inductor does, without its code
    tokens = torch.randint(0, 512, (sequences, CONTEXT), generator=torch.Generator().manual_seed(0))
    found: dict[int, Any] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        found[storage.data_ptr()] = storage
        return tensor

    with (
        torch.autocast("cpu", torch.bfloat16, enabled=half),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        model(tokens, None, tokens, torch.ones_like(tokens, dtype=torch.float32))
    return sum(storage.nbytes() for storage in found.values())


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_activations_are_claimed_within_a_tenth(name: str, half: bool) -> None:
    config, engine = MODELS[name], EngineConfig(pass_sequences=SEQUENCES)
    kept = kept_bytes(config, engine, half, 2 * SEQUENCES) - kept_bytes(config, engine, half, SEQUENCES)
    assert activation_bytes(config, engine, CONTEXT, half) == pytest.approx(kept, rel=0.1)


@pytest.mark.parametrize("half", [True, False])
def test_what_is_computed_again_is_claimed_for_one_layer(half: bool) -> None:
    config, engine = MODELS["llama"], EngineConfig(pass_sequences=SEQUENCES, save_memory=True)
    between = kept_bytes(config, engine, half, 2 * SEQUENCES) - kept_bytes(config, engine, half, SEQUENCES)
    whole = EngineConfig(pass_sequences=SEQUENCES)
    layer = activation_bytes(config, whole, CONTEXT, half) / 4
    gradient = 4 * config.intermediate_size * CONTEXT * SEQUENCES
    assert activation_bytes(config, engine, CONTEXT, half) == pytest.approx(between + layer + gradient, rel=0.1)


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor", "ignore:.torch.jit.script_method. is deprecated")
@pytest.mark.parametrize("half", [True, False])
def test_activations_of_compiled_layers_are_claimed_within_a_tenth(half: bool) -> None:
    config, engine = MODELS["llama"], EngineConfig(pass_sequences=SEQUENCES, compile=True)
    kept = kept_bytes(config, engine, half, 2 * SEQUENCES) - kept_bytes(config, engine, half, SEQUENCES)
    assert activation_bytes(config, engine, CONTEXT, half) == pytest.approx(kept, rel=0.1)


def test_a_head_with_a_bias_stays_in_the_model() -> None:
    """BERT's decoder reads it."""
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(vocab_size=128, is_decoder=True, **shape)
    assert activation_bytes(config, EngineConfig(), CONTEXT, half=True) > 0


def test_ranks_share_weights_and_not_activations() -> None:
    config, engine = MODELS["llama"], EngineConfig(parallel="fsdp")
    one, two, four = (memory_bytes(config, engine, CONTEXT, ranks) for ranks in (1, 2, 4))
    assert one - two == pytest.approx(2 * (two - four))
    alone = EngineConfig(parallel="ddp")
    assert memory_bytes(config, alone, CONTEXT, 1) == memory_bytes(config, alone, CONTEXT, 4)
