"""What a GPU would be asked to do by the engine, worked out without one, in three minutes on two cores.

    python -m pretraingym.experiments.benchmarks.gpu_readiness

The stack of proxies and the target train, evaluate and measure influence on fake CUDA tensors, which have shapes, types
and devices, but no numbers. Mixed devices raise as on a GPU. Counted are: every kernel, with what it computes and
moves; every place where the host waits for the GPU; every mask of (queries, keys); every matrix product in bfloat16
whose rows are not of 16 bytes. Where torch has no CUDA, g++ builds what it lacks; without g++ these figures are null.
Beside that: how torch.compile takes the stack's step; what the dry run claims of memory, over what a pass holds; what
eight ranks gather. `estimated_mfu`: useful operations a second over the peak in bfloat16, by the arithmetic of
`readiness/estimate.py`: as it runs uncompiled and, `fused`, if all between two products were one kernel and the step a
captured CUDA graph. These are estimates, not measurements. Prints tables; last line: one JSON object.
"""

import json
import multiprocessing
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from .readiness.guard import build_guard, load_guard, why_not

if TYPE_CHECKING:
    from .readiness.figures import Figures

# torch is imported in functions: a process that is to load the guard imports this module first.
SAVE_MEMORY = {"": False, ", save_memory": True}
ON_FAKE_GPU = (
    "stack_kernels_per_step", "target_kernels_per_step", "syncs_per_step", "syncs_at", "products_on_host",
    "dense_masks", "unaligned_matmuls", "unaligned_parameters", "evaluation_passes", "estimated_mfu",
)  # fmt: skip
Bars = dict[str, tuple[str, bool | None]]  # what is held -> (its figure, whether it is held; None: not measured)


def measure(console: Console) -> dict[str, Any]:
    """All figures, from two processes at a time: one with fake CUDA tensors, one without."""
    from .readiness.graphs import stack_graphs
    from .readiness.memory import compiled_ratio, eager_ratio
    from .readiness.sharding import gathered_gib, step_collectives

    skipped = why_not()
    spawned = partial(ProcessPoolExecutor, 1, multiprocessing.get_context("spawn"))
    with TemporaryDirectory() as folder, spawned() as plain:
        graphs, ranks = plain.submit(stack_graphs), plain.submit(step_collectives)
        ratios = {f"compiled{mode}": plain.submit(compiled_ratio, save) for mode, save in SAVE_MEMORY.items()}
        on_fake_gpu: dict[str, Any] = dict.fromkeys(ON_FAKE_GPU)
        if not skipped:
            with spawned(initializer=load_guard, initargs=(build_guard(Path(folder)),)) as guarded:
                ratios |= {f"eager{mode}": guarded.submit(eager_ratio, save) for mode, save in SAVE_MEMORY.items()}
                on_fake_gpu = _fake_gpu(guarded, console)
        memory = {mode: round(ratio.result(), 3) for mode, ratio in ratios.items()}
        found = {
            "skipped": skipped,
            **on_fake_gpu,
            "stack_graphs": graphs.result().graphs,
            "stack_graph_breaks": sum(graphs.result().breaks.values()),
            "graph_break_reasons": graphs.result().breaks,
            "dry_run_memory_ratio": memory,
            "fsdp_gather_gib_per_step": round(gathered_gib(ranks.result()), 1),
            "fsdp_gib_per_step": {name: round(size / 2**30, 1) for name, size in ranks.result().items()},
        }
    held = bars(found)
    _show_bars(held, found, console)
    return found | {"bars": {name: _verdict(kept) for name, (_, kept) in held.items()}}


def _fake_gpu(guarded: ProcessPoolExecutor, console: Console) -> dict[str, Any]:
    """The figures of fake CUDA tensors: the headline's cases whole, all others for what does not depend on depth."""
    from .readiness.cases import headline_cases, other_cases
    from .readiness.estimate import Gpu
    from .readiness.figures import figures

    gpu, heads = Gpu(), headline_cases()
    jobs = {name: guarded.submit(figures, case) for name, case in heads.items()}
    others = [guarded.submit(figures, case).result() for case in other_cases()]
    head = {name: job.result() for name, job in jobs.items()}
    every = [*head.values(), *others]
    _show_cases(every, gpu, console)
    names, mfu = Counter[str](), dict[str, float]()
    for each in every:
        names.update(each.unaligned)
    for name, each in head.items():
        mfu[name] = round(each.utilisation(each.estimate.step_s, gpu), 4)
        mfu[f"{name}_fused"] = round(each.utilisation(each.estimate.fused_s, gpu), 4)
    return {
        "stack_kernels_per_step": head["stack"].kernels,
        "target_kernels_per_step": head["target"].kernels,
        "syncs_per_step": {name: head[name].waits.total() for name in ("stack", "target")},
        "syncs_at": {name: dict(head[name].waits) for name in ("stack", "target")},
        "products_on_host": sum(each.on_host for each in every),
        "dense_masks": sum(each.masks for each in every),
        "unaligned_matmuls": names.total(),
        "unaligned_parameters": dict(names.most_common()),
        "evaluation_passes": {name: head[name].evaluation_passes for name in ("stack", "target")},
        "estimated_mfu": mfu,
        "assumptions": gpu.assumptions(),
    }


def bars(found: dict[str, Any]) -> Bars:
    """What is held without a GPU, from the figures of `measure`."""
    held: Bars = {}
    for name in ("syncs_per_step", "dense_masks", "unaligned_matmuls", "products_on_host"):
        figure = found[name]
        count = sum(figure.values()) if isinstance(figure, dict) else figure
        held[f"{name} is 0"] = str(figure), None if count is None else count == 0
    graphs, breaks = found["stack_graphs"], found["stack_graph_breaks"]
    held["one graph of the stack's losses, one of its update, no break"] = (
        f"{graphs} graphs, {breaks} breaks",
        (graphs, breaks) == (2, 0),
    )
    for mode, ratio in found["dry_run_memory_ratio"].items():
        held[f"dry_run_memory_ratio, {mode}, is .9 to 1.1"] = f"{ratio:.2f}", 0.9 <= ratio <= 1.1
    return held


def _verdict(kept: bool | None) -> str:
    return {True: "met", False: "missed", None: "not measured"}[kept]


def _show_cases(every: list["Figures"], gpu: Any, console: Console) -> None:
    columns = (
        "case",
        "kernels",
        "waits",
        "masks",
        "unaligned",
        "evaluation passes",
        "host, ms",
        "GPU, ms",
        "fused, ms",
    )
    table = Table(*columns, "MFU", "MFU, fused", title="a step on one GPU (times estimated)")
    for each in every:
        times = (each.estimate.host_s, each.estimate.busy_s, each.estimate.fused_s)
        shares = (each.utilisation(seconds, gpu) for seconds in (each.estimate.step_s, each.estimate.fused_s))
        numbers = (each.kernels, each.waits.total(), each.masks, each.unaligned.total(), each.evaluation_passes)
        table.add_row(
            each.name,
            *(f"{number:,}" for number in numbers),
            *(f"{seconds * 1e3:,.1f}" for seconds in times),
            *(f"{share:.3f}" for share in shares),
        )
    console.print(table)
    console.print(gpu.assumptions())
    console.print("step = the slower of host and GPU; MFU = useful operations / step / peak in bfloat16")


def _show_bars(held: Bars, found: dict[str, Any], console: Console) -> None:
    table = Table("held without a GPU", "figure", "")
    for name, (figure, kept) in held.items():
        table.add_row(name, figure, _verdict(kept))
    console.print(table)
    for title in ("syncs_at", "unaligned_parameters", "graph_break_reasons", "fsdp_gib_per_step"):
        console.print(f"{title}: {found.get(title)}")
    if found["skipped"]:
        console.print(f"not measured on fake CUDA tensors: {found['skipped']}")


def main() -> None:
    """Print the tables and the figures."""
    print(json.dumps(measure(Console(width=200))))


if __name__ == "__main__":
    main()
