"""What the dry run claims a pass holds in memory, over what the engine's pass holds."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ....env.settings.setting import Setting
from ....lm.models.causal_lm import llama, ready_model
from ....lm.models.engine_config import EngineConfig
from ....lm.models.optimizer_config import OptimizerConfig
from ....lm.target.ranks import Ranks
from ....lm.target.target import Target
from ....lm.target.target_model import TargetModel
from ...runs.plan import plan
from .cases import Case, target_case
from .fake_cuda import fake_cuda
from .figures import traced

CLAIMED_OF = (64, 320)  # sequences of a pass; so many that no rounding of the plan counts
LAYERS, MEASURED_OF = 8, (8, 16)  # of the preset 350m; from 8 sequences on, the head's pieces have their full size
WIDTH, CONTEXT, VOCABULARY, DEPTHS = 256, 128, 256, (1, 3)  # of the models that are compiled
COMPILER = "aot_eager_decomp_partition"  # chooses what to keep as the default does, and compiles nothing


def eager_ratio(save_memory: bool) -> float:
    """Claimed over measured bytes of a sequence more in a pass, uncompiled. In a process that `guard.load_guard` has
    prepared."""
    case = target_case("350m", save_memory=save_memory).with_layers(LAYERS)
    assert case.engine is not None
    few, many = (_peak(replace(case, engine=replace(case.engine, pass_sequences=number))) for number in MEASURED_OF)
    return _claimed(case.setting, case.engine) * (MEASURED_OF[1] - MEASURED_OF[0]) / (many - few)


def _claimed(setting: Setting, engine: EngineConfig) -> float:
    """Bytes of a sequence more in a pass, as the dry run tells them."""
    each = [replace(engine, pass_sequences=number) for number in CLAIMED_OF]
    few, many = (plan(setting, engine, None, 1)["memory_gib_per_rank"] for engine in each)
    return (many - few) * 2**30 / (CLAIMED_OF[1] - CLAIMED_OF[0])


def _peak(case: Case) -> int:
    """Most bytes that a pass holds beside what it begins with: a gradient in float32, which keeps most."""
    assert case.engine is not None
    with fake_cuda():
        target = case.backend()
        assert isinstance(target, Target)
        tokens = target.fetch(case.ids(1, case.engine.pass_sequences))[:, 0]
        return traced(lambda: target.measured_model.gradient(tokens)).peak_bytes


def compiled_ratio(save_memory: bool) -> float:
    """Claimed over measured bytes that a layer keeps for the backward pass of a gradient in float32, by token and
    hidden unit, where the layers are compiled. Measured on a CPU, of small models."""
    case, engine = target_case("350m"), EngineConfig(compile=True, save_memory=save_memory)
    few, many = (_claimed(replace(case.setting, num_layers=layers), engine) for layers in DEPTHS)
    less, more = (_kept(layers, save_memory) for layers in DEPTHS)
    return (many - few) / (case.setting.context * case.setting.width) / ((more - less) / (CONTEXT * WIDTH))


def _kept(layers: int, save_memory: bool) -> int:
    """Bytes that a pass over one sequence keeps, parameters left out."""
    torch._dynamo.reset()
    engine = EngineConfig(pass_sequences=1, packing="none", compile=True, save_memory=save_memory)
    ready = ready_model(llama(VOCABULARY, WIDTH, layers, CONTEXT), 0, None, engine)
    model = TargetModel(ready, engine, OptimizerConfig(), 0.9, Ranks("cpu"), torch.float32).loss_model
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
