"""How torch.compile takes a stack's step: into how many graphs, and what breaks them. On a CPU, of a small stack."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch._dynamo.utils import counters

from ....lm.models.causal_lm import llama
from ....lm.models.optimizer_config import OptimizerConfig
from ....lm.proxies.shard import Shard

MODELS, WINDOWS, CONTEXT, VOCABULARY = 4, 4, 32, 64


@dataclass(frozen=True)
class Graphs:
    """`graphs`: of the forward pass with its loss, and of the update; one each is best. `breaks`: reasons -> times."""

    graphs: int
    breaks: dict[str, int]


def stack_graphs() -> Graphs:
    """What torch.compile makes of the step of a stack of two layers."""
    config = llama(VOCABULARY, 64, 2, CONTEXT)
    shard = Shard(config, OptimizerConfig(clip_norm=1.0), MODELS, 0.9, "cpu", torch.bfloat16)
    tokens = torch.from_numpy(np.random.default_rng(0).integers(0, VOCABULARY, (MODELS, WINDOWS, CONTEXT)))
    weight = torch.full((MODELS, WINDOWS), 1 / WINDOWS)

    def loss() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return shard.weighted_losses(tokens, weight)

    def update() -> None:
        shard.optimizer.step(torch.ones(MODELS))

    forward = count_graphs(loss)
    for parameter in shard.parameters.values():
        parameter.grad = torch.ones_like(parameter)
    step = count_graphs(update)
    breaks = dict(forward.breaks)
    for reason, times in step.breaks.items():
        breaks[reason] = breaks.get(reason, 0) + times
    return Graphs(forward.graphs + step.graphs, breaks)


def count_graphs(work: Callable[[], Any]) -> Graphs:
    """How torch.compile takes `work`."""
    graphs = 0

    def count(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        nonlocal graphs
        graphs += 1
        return graph.forward

    torch._dynamo.reset()
    counters.clear()
    torch.compile(work, backend=count)()
    breaks = {reason.splitlines()[0]: times for reason, times in counters["graph_break"].items()}
    return Graphs(graphs, breaks)
