"""Memory that a rank takes to train a target, told before anything is made: most of it is what passes keep."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoModelForCausalLM, PretrainedConfig

from ..models.causal_lm import IdentityHead, num_parameters, without_dropout
from ..models.engine_config import EngineConfig
from ..proxies.head_loss import PIECE_OF_GPU
from .loss_model import compute_again

FLOAT, HALF = 4, 2  # bytes; weights, gradients, averages and moments are float32
# Bytes a layer, token and hidden unit that a compiled layer of the built-in Llama keeps, in half precision and in
# float32: its partition by aot_eager_decomp_partition, measured. Other families are taken to be alike.
COMPILED = {HALF: 36.0, FLOAT: 68.0}


def memory_bytes(config: PretrainedConfig, engine: EngineConfig, context: int, ranks: int) -> float:
    """Most memory that a rank needs, which is while influence is measured; estimated.

    Weights, running average and moments stay (Muon has one moment, AdamW two: three are counted). A measurement adds
    two gradients, a copy of the weights, activations in float32, and a piece of the logits with its gradient. A step
    adds less of each: one gradient, casts of the weights, and activations in half precision."""
    parameters = num_parameters(config) / (ranks if engine.parallel == "fsdp" else 1)
    measurement = 3 * FLOAT * parameters + activation_bytes(config, engine, context, half=False)
    return 5 * FLOAT * parameters + measurement + 2 * FLOAT * PIECE_OF_GPU


def activation_bytes(config: PretrainedConfig, engine: EngineConfig, context: int, half: bool) -> float:
    """Bytes that a pass keeps for its backward pass, of sequences of `context` tokens, in half precision or in float32.
    With `save_memory` that is what lies between the layers, and all of one layer while it is computed again, with a
    gradient in it."""
    text = config.get_text_config(decoder=True)
    if engine.compile:
        kept = COMPILED[HALF if half else FLOAT] * text.hidden_size * text.num_hidden_layers * context
    else:
        kept = _kept_a_sequence(config, context, half)
    if engine.save_memory:
        widest = getattr(text, "intermediate_size", None) or 4 * text.hidden_size  # of whose gradient one exists
        kept = _kept_a_sequence(config, context, half, again=True) + kept / text.num_hidden_layers
        kept += FLOAT * widest * context
    return engine.pass_sequences * (kept + FLOAT * text.hidden_size * context)  # and the head's gradient to its input


def _kept_a_sequence(config: PretrainedConfig, context: int, half: bool, again: bool = False) -> float:
    """Bytes kept of each sequence. again: activations are computed again."""
    with FakeTensorMode():  # shapes without numbers: no memory, and no time
        model = AutoModelForCausalLM.from_config(without_dropout(config), dtype=torch.float32).train()
        if type(head := model.get_output_embeddings()) is nn.Linear and head.bias is None:
            model.set_output_embeddings(IdentityHead(head))  # of logits only a piece exists at a time
        if again:
            compute_again(model)
        kept = []
        for sequences in (1, 2):  # what does not depend on their number is no activation, but the cast of a weight
            ids = torch.zeros(sequences, context, dtype=torch.long)
            with torch.autocast("cpu", torch.bfloat16, enabled=half), _counting() as storages:
                try:
                    model(input_ids=ids, use_cache=False)
                except RuntimeError:  # a kernel has no fake form, as that of experts: taken to be as a compiled Llama
                    layer = FLOAT if again else COMPILED[HALF if half else FLOAT]
                    return float(layer * model.config.hidden_size * model.config.num_hidden_layers * context)
            kept.append(sum(storage.nbytes() for storage in storages.values()))
    return float(kept[1] - kept[0])


@contextmanager
def _counting() -> Iterator[dict[int, Any]]:
    """The storages of all tensors that are kept for a backward pass inside, by address, each once."""
    found: dict[int, Any] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        found[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield found
