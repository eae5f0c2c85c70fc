"""What the dry run claims a pass holds in memory, over what the engine's pass holds."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ....lm.models.causal_lm import llama, ready_model
from ....lm.models.engine_config import EngineConfig
from ....lm.models.flops import TrainingCost
from ....lm.target.loss_model import LossModel
from .cases import Case, target_case
from .fake_cuda import fake_cuda
from .figures import traced

LAYERS, SEQUENCES = 8, (8, 16)  # of the preset 350m; from 8 sequences on, all pieces of the head have their full size
WIDTH, CONTEXT, VOCABULARY, DEPTHS = 256, 128, 256, (1, 3)  # of the models that are compiled
COMPILER = "aot_eager_decomp_partition"  # chooses what to keep as the default does, and compiles nothing


def eager_ratio(save_memory: bool) -> float:
    """Claimed over measured bytes of what grows with the sequences of a pass, uncompiled: of a step, or of a gradient
    and the losses along it, whichever is more. In a process that `guard.load_guard` has prepared."""
    base = target_case("350m", save_memory=save_memory).with_layers(LAYERS)
    assert base.engine is not None
    few, many = (replace(base, engine=replace(base.engine, pass_sequences=number)) for number in SEQUENCES)
    return (_claimed(many) - _claimed(few)) / (_peak(many) - _peak(few))


def _claimed(case: Case) -> float:
    assert case.engine is not None
    cost = TrainingCost.of(case.setting.model_config(case.vocabulary), case.setting.context)
    return cost.memory_bytes(case.engine, 1)


def _peak(case: Case) -> int:
    """Most bytes that the work holds beside what it begins with."""
    assert case.engine is not None
    sequences = case.engine.pass_sequences
    with fake_cuda():
        target = case.backend()
        step = traced(lambda: target.train(case.ids(1, case.windows_of(1)), np.ones(1, bool)))
        reference, probe = case.ids(1, sequences), case.ids(4 * sequences)
        measurement = traced(lambda: target.influence(reference, np.ones((1, 1)), probe, 1))
    return max(step.peak_bytes, measurement.peak_bytes)


def compiled_ratio(save_memory: bool) -> float:
    """Claimed over measured bytes that a layer keeps for the backward pass of a gradient in float32, where the layers
    are compiled. On a CPU, of small models."""
    few, many = DEPTHS
    claimed = _claimed_by_layers(many, save_memory) - _claimed_by_layers(few, save_memory)
    return claimed / (_kept(many, save_memory) - _kept(few, save_memory))


def _compiled_engine(sequences: int, save_memory: bool) -> EngineConfig:
    return EngineConfig(pass_sequences=sequences, packing="none", compile=True, save_memory=save_memory)


def _claimed_by_layers(layers: int, save_memory: bool) -> float:
    """Of one sequence more in a pass."""
    cost = TrainingCost.of(llama(VOCABULARY, WIDTH, layers, CONTEXT), CONTEXT)
    one, two = (cost.memory_bytes(_compiled_engine(sequences, save_memory), 1) for sequences in (1, 2))
    return two - one


def _kept(layers: int, save_memory: bool) -> int:
    """Bytes that a pass over one sequence keeps, parameters left out."""
    torch._dynamo.reset()
    engine = _compiled_engine(1, save_memory)
    model = LossModel(ready_model(llama(VOCABULARY, WIDTH, layers, CONTEXT), 0, None, engine), engine)
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if (address := tensor.untyped_storage().data_ptr()) not in own:
            kept[address] = tensor
        return tensor

    def keep_input(layer: nn.Module, args: tuple[Any, ...]) -> None:
        keep(args[0])  # a layer that computes again keeps it where no hook of autograd sees it

    for layer in model.layers:
        layer.compile(backend=COMPILER)
        layer.register_forward_pre_hook(keep_input)
    tokens = torch.zeros(1, CONTEXT, dtype=torch.int64)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(tokens, None, tokens, torch.full((1, CONTEXT), 1 / CONTEXT))
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
