"""The figures of one stack or target: what a step, an evaluation and an influence measurement ask of a GPU."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch

from ....lm.models.flops import TrainingCost
from ....lm.proxies.stack import ProxyStack
from ....lm.target.target import Target
from .cases import Case
from .estimate import Estimate, Gpu, estimate
from .fake_cuda import fake_cuda
from .trace import Kernel, Trace


@dataclass(frozen=True)
class Figures:
    """Of one step: `kernels`, `waits` of the host for the GPU, `estimate`, its `tokens` and useful `flops`. Of a step,
    an evaluation and an influence measurement: `masks` of (queries, keys), `unaligned` products in bfloat16 by
    parameter, products `on_host`. `evaluation_passes`: forward passes of an evaluation."""

    name: str
    kernels: int
    waits: Counter[str]
    masks: int
    unaligned: Counter[str]
    on_host: int
    evaluation_passes: int
    tokens: int
    flops: float
    estimate: Estimate

    def utilisation(self, step_s: float, gpu: Gpu) -> float:
        """Useful operations a second over the peak."""
        return self.flops / step_s / gpu.half_flops_per_s


def figures(case: Case, gpu: Gpu | None = None) -> Figures:
    """Run the case on a fake GPU, in a process that `guard.load_guard` has prepared."""
    gpu = gpu or Gpu()
    with fake_cuda():
        backend = case.backend()
        backend.start(0, 0)
        active = np.ones(case.models, bool)
        one = traced(lambda: backend.train(case.ids(1, case.windows_of(1)), active))
        two = traced(lambda: backend.train(case.ids(2, case.windows_of(1)), active))
        step = two.kernels[len(one.kernels) :]  # what a second step adds; an interval's ends are not a step's
        seconds, kernels, waits = estimate(step, gpu), len(step), two.waits - one.waits
        if (passes := case.passes()) > 1:
            more = traced(lambda: backend.train(case.ids(1, case.windows_of(2)), active))
            seconds += (estimate(more.kernels, gpu) + estimate(one.kernels, gpu) * -1) * (passes - 1)
            kernels += (len(more.kernels) - len(one.kernels)) * (passes - 1)
            for place, times in (more.waits - one.waits).items():
                waits[place] += times * (passes - 1)
        evaluated = traced(lambda: backend.evaluate(case.ids(case.setting.episode.validation_windows), True))
        measured = traced(lambda: _influence(case, backend))
        shapes = parameter_shapes(backend)
    every = [*one.kernels, *evaluated.kernels, *measured.kernels]
    cost = TrainingCost.of(case.setting.model_config(case.vocabulary), case.setting.context)
    return Figures(
        name=case.name,
        kernels=kernels,
        waits=waits,
        masks=count_masks(every),
        unaligned=unaligned(every, shapes),
        on_host=sum(sum(trace.on_host.values()) for trace in (one, evaluated, measured)),
        evaluation_passes=evaluated.passes,
        tokens=case.tokens,
        flops=cost.flops_per_token * case.tokens,
        estimate=seconds,
    )


def traced(work: Callable[[], object]) -> Trace:
    """What `work` does on the fake GPU."""
    with Trace() as trace:
        work()
    return trace


def _influence(case: Case, backend: ProxyStack | Target) -> None:
    weight = np.full((case.models, 2), 0.5)  # of two reference tasks
    backend.influence(case.ids(2, 4), weight, case.ids(8), 4)


def parameter_shapes(backend: ProxyStack | Target) -> dict[str, tuple[int, ...]]:
    """Shape of each parameter of one model, with a star for the number of its layer."""
    parameters = backend.shards[0].parameters if isinstance(backend, ProxyStack) else backend.model.parameters
    return {re.sub(r"\.\d+\.", ".*.", name): tuple(value.shape[1:]) for name, value in parameters.items()}


def count_masks(kernels: Iterable[Kernel]) -> int:
    """How often attention is handed a mask of (queries, keys)."""
    return sum(kernel.masked and "backward" not in kernel.name for kernel in kernels)


def unaligned(kernels: Iterable[Kernel], shapes: dict[str, tuple[int, ...]]) -> Counter[str]:
    """Matrix products in bfloat16 with a side that is no multiple of 8 elements, by the parameter that is one of its
    sides: rows are then not of 16 bytes, and tensor cores take a slow path."""
    found: Counter[str] = Counter()
    for kernel in kernels:
        if kernel.product and kernel.dtype == torch.bfloat16 and not kernel.is_aligned:
            sides = set(kernel.product)
            odd = {side for side in sides if side % 8}
            matrices = {name: set(shape) for name, shape in shapes.items() if len(shape) == 2}
            names = [name for name, shape in matrices.items() if shape & odd and shape <= sides]
            found[", ".join(names) or f"no parameter: {' x '.join(map(str, kernel.product))}"] += 1
    return found
