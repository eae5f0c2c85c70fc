"""The engine on fake CUDA tensors: it stays on the GPU, and the faults that its figures are to tell are told.

A check that needs such tensors runs in a process that has loaded the guard before torch, one for this module.
"""

import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from pretraingym.experiments.benchmarks.gpu_readiness import bars
from pretraingym.experiments.benchmarks.readiness import sharding
from pretraingym.experiments.benchmarks.readiness.cases import Case, stack_case, target_case
from pretraingym.experiments.benchmarks.readiness.estimate import Gpu, estimate, fused_traffic
from pretraingym.experiments.benchmarks.readiness.fake_cuda import fake_cuda
from pretraingym.experiments.benchmarks.readiness.figures import figures, traced, unaligned
from pretraingym.experiments.benchmarks.readiness.graphs import count_graphs
from pretraingym.experiments.benchmarks.readiness.guard import build_guard, load_guard, why_not
from pretraingym.experiments.benchmarks.readiness.trace import Kernel
from pretraingym.lm.models.optimizer import StackedOptimizer
from pretraingym.lm.proxies.shard import Shard
from pretraingym.lm.target.target_model import TargetModel

ROOT = Path(__file__).parents[3]
STACK_WAITS, TARGET_WAITS = 6, 2  # a step of the stack, and of the target with two passes, today; to become 0
MASKS = 1  # a pass, layer and packed batch of the target, today; to become 0
Run = Callable[[Callable[[], Any]], Any]


@pytest.fixture(scope="module")
def on_fake_cuda(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Runs a function of this module where fake CUDA tensors work."""
    if reason := why_not():
        pytest.skip(reason)
    library = build_guard(tmp_path_factory.mktemp("guard"))
    spawn = multiprocessing.get_context("spawn")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT)  # the process imports this module by its name
        with ProcessPoolExecutor(1, spawn, initializer=load_guard, initargs=(library,)) as pool:
            yield lambda check: pool.submit(check).result()


def small(case: Case) -> Case:
    episode = replace(case.setting.episode, batch_windows=4, validation_windows=4)
    return replace(case, setting=replace(case.setting, episode=episode, num_layers=1))


def small_stack() -> Case:
    return small(stack_case("0.2m", models=2))


def small_target(**engine: Any) -> Case:
    return small(target_case("quick", pass_sequences=2, **engine))


# -- the engine stays on the GPU ------------------------------------------------------------------------------------


def work_of(case: Case) -> dict[str, Any]:
    """Where tensors are and products are computed, in training, evaluation and influence."""
    ids, weight = case.ids(1, 4), np.full((case.models, 2), 0.5)
    with fake_cuda():
        backend = case.backend()
        backend.start(0, 0)
        trained = traced(lambda: backend.train(ids, np.ones(case.models, bool)))
        measured = traced(lambda: (backend.evaluate(ids[:, 0], True), backend.evaluate(ids[:, 0], False)))
        influence = traced(lambda: backend.influence(case.ids(2, 4), weight, ids[:, 0], 2))
        tensors = backend.tensors().values() if case.engine else backend.shards[0].tensors()
        devices = {tensor.device.type for tensor in tensors}
    traces = {"train": trained, "evaluate": measured, "influence": influence}
    return {
        "devices": devices,
        "types": {name: {str(k.dtype) for k in each.kernels if k.product} for name, each in traces.items()},
        "on_host": sum((each.on_host for each in traces.values()), Counter()),
    }


@pytest.mark.parametrize(
    "case",
    [
        small_stack(),
        small_target(),
        small_target(save_memory=True),
        small_target(packing="none"),
        small_target(attention="eager"),
    ],
    ids=["stack", "target", "save_memory", "no packing", "eager attention"],
)
def test_everything_is_computed_on_the_gpu(on_fake_cuda: Run, case: Case) -> None:
    work = on_fake_cuda(partial(work_of, case))
    assert work["devices"] == {"cuda"}
    assert not work["on_host"]
    assert "torch.bfloat16" in work["types"]["train"]
    assert work["types"]["evaluate"] == work["types"]["influence"] == {"torch.float32"}


# -- faults are seen ------------------------------------------------------------------------------------------------


def step_with_rates_on_the_host() -> None:
    step = StackedOptimizer.step
    left = mock.patch.object(StackedOptimizer, "step", lambda self, rates: step(self, rates.cpu()))
    with left, pytest.raises(RuntimeError, match="devices"):
        figures(small_stack())


def test_a_forgotten_move_to_the_device_raises(on_fake_cuda: Run) -> None:
    on_fake_cuda(step_with_rates_on_the_host)


def waits(case: Case, looks: bool) -> Counter[str]:
    """Of a step; `looks`: after which the host looks at the loss."""

    def looking(step: Callable[..., Tensor], *args: Any) -> Tensor:
        loss = step(*args)
        loss.sum().item()
        return loss

    model = TargetModel if case.engine else Shard
    step = model.train_step
    with mock.patch.object(model, "train_step", lambda *args: looking(step, *args) if looks else step(*args)):
        return figures(case).waits


@pytest.mark.parametrize(
    ("case", "today"), [(small_stack(), STACK_WAITS), (small_target(), TARGET_WAITS)], ids=["stack", "target"]
)
def test_an_item_in_the_step_is_a_wait(on_fake_cuda: Run, case: Case, today: int) -> None:
    before = on_fake_cuda(partial(waits, case, looks=False))
    assert before.total() <= today
    more = on_fake_cuda(partial(waits, case, looks=True)) - before
    assert more.total() == 1
    assert "_local_scalar_dense" in next(iter(more))


def copies() -> Counter[str]:
    with fake_cuda():

        def copy() -> None:
            host, pinned = torch.ones(8), torch.ones(8).pin_memory()
            host.to("cuda")
            host.to("cuda", non_blocking=True)  # from memory that can move
            pinned[:4].to("cuda", non_blocking=True)
            pinned.to("cuda").cpu()

        return traced(copy).waits


def test_only_copies_from_pinned_memory_do_not_wait(on_fake_cuda: Run) -> None:
    assert on_fake_cuda(copies).total() == 4


def masks(case: Case, plant: bool) -> int:
    """Of a step, an evaluation and an influence measurement; `plant`: the model is handed a mask in every pass."""
    forward = LlamaForCausalLM.forward

    def masked(model: Any, input_ids: Tensor, **kwargs: Any) -> Any:
        count, length = input_ids.shape
        seen = torch.ones(length, length, dtype=torch.bool, device=input_ids.device).tril()
        return forward(model, input_ids=input_ids, **kwargs | {"attention_mask": seen.expand(count, 1, -1, -1)})

    with mock.patch.object(LlamaForCausalLM, "forward", masked if plant else forward):
        return figures(case).masks


def test_a_mask_of_queries_and_keys_is_counted(on_fake_cuda: Run) -> None:
    assert on_fake_cuda(partial(masks, small_stack(), plant=False)) == 0
    assert on_fake_cuda(partial(masks, small_target(packing="none"), plant=False)) == 0
    assert on_fake_cuda(partial(masks, small_target(packing="none"), plant=True)) > 0
    assert on_fake_cuda(partial(masks, small_target(), plant=False)) <= MASKS


def products() -> dict[str, int]:
    with fake_cuda():
        weight = torch.ones(172, 64, dtype=torch.bfloat16, device="cuda")
        rows = torch.ones(32, 64, dtype=torch.bfloat16, device="cuda")
        trace = traced(lambda: (rows @ weight.T, rows @ rows.T, rows.float() @ weight.float().T))
    return unaligned(trace.kernels, {"mlp.*.up": (172, 64), "norm": (64,)})


def test_an_unaligned_product_is_told_by_its_parameter(on_fake_cuda: Run) -> None:
    assert on_fake_cuda(products) == {"mlp.*.up": 1}


def host_products() -> int:
    step = Shard.train_step

    def with_product(*args: Any) -> Tensor:
        torch.ones(4, 4) @ torch.ones(4, 4)
        return step(*args)

    with mock.patch.object(Shard, "train_step", with_product):
        return figures(small_stack()).on_host


def test_a_product_on_the_host_is_counted(on_fake_cuda: Run) -> None:
    assert on_fake_cuda(host_products) == 1


def peak() -> int:
    with fake_cuda():
        kept = torch.ones(1000, device="cuda")

        def work() -> None:
            one = kept * 2  # 4,000 bytes
            other = one + 1  # beside it
            del one
            other.mul_(2)
            torch.cat([other, other])  # 8,000 bytes beside one of them

        return traced(work).peak_bytes


def test_memory_is_freed_where_tensors_are(on_fake_cuda: Run) -> None:
    assert on_fake_cuda(peak) == 12_000


# -- arithmetic -----------------------------------------------------------------------------------------------------


def kernel(reads: dict[int, int], writes: dict[int, int], flops: float = 0.0) -> Kernel:
    product = (128, 128, 128) if flops else None
    return Kernel("mm" if flops else "mul", torch.bfloat16, flops, reads, writes, product, masked=False)


def test_fused_kernels_move_only_what_enters_and_leaves() -> None:
    chain = [kernel({1: 100}, {2: 100}), kernel({2: 100}, {3: 100}), kernel({3: 100, 1: 100}, {4: 100})]
    product = kernel({4: 100, 5: 100}, {6: 100}, flops=1e6)
    after = [kernel({6: 100}, {7: 100}), kernel({7: 100, 1: 100}, {1: 100})]  # 7 stays inside
    assert fused_traffic(chain) == (1, 100)
    assert fused_traffic([*chain, product]) == (2, 200)
    assert fused_traffic([*chain, product, *after]) == (3, 500)


def test_the_slower_of_host_and_gpu_counts() -> None:
    gpu = Gpu()
    launched = estimate([kernel({1: 8}, {2: 8})] * 100, gpu)
    assert launched.step_s == pytest.approx(100 * gpu.launch_s)
    busy = estimate([kernel({1: 8}, {2: 8}, flops=1e15)], gpu)
    assert busy.step_s == pytest.approx(1e15 / (gpu.of_products * gpu.half_flops_per_s))
    assert (busy + launched * 2).host_s == pytest.approx(201 * gpu.launch_s)


def test_a_graph_break_is_counted() -> None:
    whole = count_graphs(lambda: torch.ones(3).sin().cos())
    assert (whole.graphs, whole.breaks) == (1, {})

    def broken() -> Tensor:
        half = torch.ones(3).sin()
        torch._dynamo.graph_break()
        return half.cos()

    found = count_graphs(broken)
    assert found.graphs == 2
    assert sum(found.breaks.values()) == 1


def test_gathered_bytes_are_those_of_all_weights() -> None:
    case = target_case("1b3").with_layers(1)
    weights = case.setting.num_params(case.vocabulary)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        gathered = sharding.gathered_gib(pool.submit(sharding.step_collectives, 1).result()) * 2**30
    passes = case.passes(sharding.RANKS)
    assert gathered == 2 * 2 * passes * weights  # twice a pass, in bfloat16


def test_bars_tell_what_is_missed_and_what_was_not_measured() -> None:
    found = {
        "syncs_per_step": {"stack": 1, "target": 0},
        "dense_masks": 0,
        "unaligned_matmuls": None,
        "products_on_host": None,
        "stack_graphs": 2,
        "stack_graph_breaks": 0,
        "dry_run_memory_ratio": {"eager": 0.8, "compiled": 1.1},
    }
    held = [kept for _, kept in bars(found).values()]
    assert held == [False, True, None, None, True, False, True]
