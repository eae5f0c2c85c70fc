"""Training proxies as one stack: how much faster than a process each, and how near to what the hardware can do.

    python -m pretraingym.experiments.benchmarks.proxies --device cpu

For models of .08 to 15 million parameters and 1 to 64 of them: tokens a second of all together, as a ProxyStack and in
the naive way, which is the best of these: one process, with one thread or all; a process a core. More models than cores
wait in line, so the rate of as many as there are cores is theirs; on a GPU the one process stands for models in turn
too. Both ways train on the same corpus (synthetic), 16 windows a step and model; the stack alone also keeps a running
average of its weights. Everything is measured in float32 and, where the hardware multiplies it, in bfloat16 (products
of training steps); torch's Muon, which orthogonalises in bfloat16, counts as a naive way only there. All take turns in
short rounds, forwards and backwards; the figures are medians, `ratio` the median of each round's own ratio; `cpu_ratio`
is the same of tokens a second of the processor's time, which says more where other work shares the cores (nothing, on a
GPU).

`fraction_of_peak`: the stack's useful floating-point operations a second over those of a large matrix product (float32
on all cores, bfloat16 on a GPU), measured before every size; the best counts. Useful are, for each predicted token, 6
for every parameter in a hidden matrix or the head and 6 x layers x width x context for attention (the causal half), not
the optimiser's. `overhead_fraction`: of the time of an episode's interval with four runs, what is not training: the
quickstart's interval at the quickstart's size, at others one of 100,000 tokens a run, null if that takes too long.
Prints a table; last line: one JSON object.
"""

import json
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
import transformers
import tyro

from ...env.episode import Episode
from ...env.episode_config import EpisodeConfig
from ...env.scenarios.distribution import ScenarioDistribution
from ...env.scenarios.task import Task
from ...env.settings.setting import Precision, Setting
from ...lm.backend import Schedule
from ...lm.cores import torch_threads, usable_cores
from ...lm.device import usable_device
from ...lm.ingest.synthetic import build_synthetic
from ...lm.models.optimizer_config import OptimizerConfig
from ...lm.models.training import TrainConfig
from ...lm.proxies.stack import ProxyStack
from .proxies_naive import MUONS, Job, NaiveProxies, Way, naive_proxies

RATES = OptimizerConfig(muon_lr=0.01, adam_lr=0.003)  # of the larger; no time depends on them
SIZES = {
    "0.08m": Setting(),
    "0.2m": Setting(width=64, num_layers=3),
    "1m": Setting(width=192, num_layers=2, context=64, optimizer=RATES),
    "4m": Setting(width=256, num_layers=5, context=64, optimizer=RATES),
    "15m": Setting(width=384, num_layers=8, context=64, optimizer=RATES),
}
SCHEDULE = Schedule(10**9, 20)
BATCH, MAX_STEPS, OVERHEAD_SLOTS = 16, 128, 4
INTERVAL_TOKENS = 100_000  # of one run, but at the quickstart's size
CPU_STEP_FLOPS = 4e11  # a CPU skips more models than one step of which takes this: ten seconds or so
CPU_TORCH_MUON_FLOPS = 1e10  # and torch's Muon beyond this for one model, where it takes seconds a step
COLUMNS = (
    ("params", "params", ",.0f"), ("n", "n", "d"), ("products", "products", "s"),
    ("stack_tokens_per_s", "stack, tokens/s", ",.0f"),
    ("naive_tokens_per_s", "naive, tokens/s", ",.0f"), ("ratio", "ratio", ".2f"),
    ("cpu_ratio", "of CPU time", ".2f"), ("torch_muon_tokens_per_s", "naive with torch's Muon", ",.0f"),
    ("fraction_of_peak", "of peak", ".3f"),
    ("overhead_fraction", "overhead", ".3f"), ("naive_way", "best naive way", "s"), ("rounds", "rounds", "d"),
)  # fmt: skip
Turn = Callable[[int], tuple[float, float]]  # steps -> tokens a second, of all models; and of the processor's time


@dataclass(frozen=True)
class ProxiesConfig:
    """What is measured, and for how long."""

    device: str = "cpu"
    """cpu or cuda"""
    sizes: tuple[str, ...] = tuple(SIZES)
    """of the models, in millions of parameters"""
    counts: tuple[int, ...] = (1, 4, 16, 64)
    """models in the stack; a CPU leaves out those that would take ten seconds a step or more"""
    rounds: int = 7
    """times that everything takes its turn"""
    round_s: float = 0.5
    """of a turn, unless one step takes longer"""
    size_s: float = 30.0
    """no new round (after the second) of a size in one precision that has taken so long"""
    overhead_s: float = 30.0
    """overhead is not measured where an interval would take longer"""


def measure(config: ProxiesConfig) -> dict[str, Any]:
    """A row of figures of each size, precision and number of models, as the module says."""
    rows: list[dict[str, Any]] = []
    peaks = []
    with TemporaryDirectory() as name:
        corpus = build_synthetic(Path(name) / "corpus", vocab_size=512)
        for size in config.sizes:
            peaks.append(peak_flops(config.device))
            for products in precisions(config.device):
                setting = replace(SIZES[size], device=config.device, precision=products)
                rows += measure_size(config, setting, Task(corpus, setting.context), quickstart=size == "0.08m")
    for row in rows:
        row["fraction_of_peak"] /= max(peaks)
    print(" | ".join(title for _, title, _ in COLUMNS))
    for row in rows:
        print(" | ".join("-" if row[key] is None else f"{row[key]:{form}}" for key, _, form in COLUMNS))
    versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    return {
        "device": device_name(config.device),
        "rows": rows,
        "versions": versions | {"transformers": transformers.__version__},
        "peak_flops": max(peaks),
        "peak_flops_range": [min(peaks), max(peaks)],
        "cores": usable_cores(),
        "load_average": os.getloadavg()[0],
    }


def precisions(device: str) -> tuple[Precision, ...]:
    """The precisions that a GPU is used with, or that this CPU has instructions for."""
    if not device.startswith("cpu"):
        return ("bfloat16",)
    flags = set(" ".join(cpu_lines("flags")).split())
    return ("float32", "bfloat16") if flags & {"avx512_bf16", "amx_bf16"} else ("float32",)


def measure_size(config: ProxiesConfig, setting: Setting, task: Task, quickstart: bool) -> list[dict[str, Any]]:
    """A row for every count of models of one size."""
    model, cores = setting.model_config(task.corpus.vocab_size), usable_cores()
    job = Job(model, task.corpus.path, setting.context, setting.optimizer, SCHEDULE, setting.device, setting.products)
    one = _stack(task, setting, 1)
    step_flops = flops_per_window(one, setting) * BATCH
    on_cpu = setting.device.startswith("cpu")
    counts = [n for n in config.counts if not on_cpu or n * step_flops < CPU_STEP_FLOPS]
    muons = [muon for muon in MUONS if muon != "torch" or not on_cpu or step_flops < CPU_TORCH_MUON_FLOPS]
    widths = {(1, 1), (1, cores)} | {(min(n, cores), 1) for n in counts}
    ways = [Way(*width, muon) for width in sorted(widths) for muon in muons]
    ids = np.random.default_rng(0).choice(
        task.windows.ids(task.corpus.splits["train"]), (max(*counts, cores), MAX_STEPS, BATCH)
    )
    with naive_proxies(job, max(way.processes for way in ways)) as naive:
        turns: dict[int | Way, Turn] = {n: _stack_turn(task, setting, ids[:n]) for n in counts}
        turns |= {way: _naive_turn(naive, way, ids, setting.context) for way in ways}
        rates = rounds(config, turns)  # tokens a second, and of the processor's time
    medians = {key: np.median(rate, 0).tolist() for key, rate in rates.items()}
    overhead = None
    nearest = max(n for n in counts if n <= OVERHEAD_SLOTS or n == min(counts))
    clock = setting.episode
    if not quickstart:
        clock = EpisodeConfig(steps_per_interval=-(-INTERVAL_TOKENS // (BATCH * setting.context)))
    interval_tokens = OVERHEAD_SLOTS * BATCH * setting.context * (clock.steps_per_interval + clock.warmup_steps)
    if interval_tokens / medians[nearest][0] < config.overhead_s:
        overhead = overhead_fraction(replace(setting, episode=clock), task)
    rows = []
    for n in counts:
        usable = [way for way in ways if way.processes <= n]
        alike = [way for way in usable if way.muon != "torch" or setting.products == torch.bfloat16]
        best = max(alike, key=lambda way: medians[way][0])
        best_cpu = max(alike, key=lambda way: medians[way][1])
        ratio = rates[n][:, 0] / rates[best][:, 0]
        torch_muon = [medians[way][0] for way in usable if way.muon == "torch"]
        rows.append(
            {
                "params": one.num_params,
                "n": n,
                "products": setting.precision,
                "stack_tokens_per_s": medians[n][0],
                "naive_tokens_per_s": medians[best][0],
                "ratio": float(np.median(ratio)),
                "ratio_range": [float(ratio.min()), float(ratio.max())],
                "cpu_ratio": float(np.median(rates[n][:, 1] / rates[best_cpu][:, 1])),
                # Operations a second, which `measure` divides by the peak once it knows it.
                "fraction_of_peak": medians[n][0] / setting.context * step_flops / BATCH,
                "overhead_fraction": overhead,
                "naive_way": str(best),
                "torch_muon_tokens_per_s": max(torch_muon, default=None),
                "rounds": len(ratio),
                "ways": {str(way): medians[way] for way in usable},
            }
        )
        print(rows[-1], flush=True)
    return rows


def _stack(task: Task, setting: Setting, count: int) -> ProxyStack:
    model, train = setting.model_config(task.corpus.vocab_size), TrainConfig(SCHEDULE, setting.optimizer)
    stack = ProxyStack(model, task.windows, replace(train, products=setting.products), count, setting.device)
    for slot in range(count):
        stack.start(slot, slot)
    return stack


def _stack_turn(task: Task, setting: Setting, ids: np.ndarray) -> Turn:
    stack = _stack(task, setting, len(ids))

    def turn(steps: int) -> tuple[float, float]:
        t0, cpu0 = perf_counter(), process_time()
        stack.train(ids[:, :steps], np.ones(len(ids), bool))
        tokens = ids[:, :steps].size * setting.context
        return tokens / (perf_counter() - t0), tokens / (process_time() - cpu0)

    return turn


def _naive_turn(naive: NaiveProxies, way: Way, ids: np.ndarray, context: int) -> Turn:
    def turn(steps: int) -> tuple[float, float]:
        _, wall_s, cpu_s = naive.train(way, ids[:, :steps])
        tokens_each = steps * BATCH * context
        return float((tokens_each / wall_s).sum()), tokens_each * way.processes / cpu_s.sum()

    return turn


def rounds(config: ProxiesConfig, turns: dict[int | Way, Turn]) -> dict[int | Way, np.ndarray]:
    """The rates of each turn, (rounds, 2). A turn ends when its losses are known, so a GPU's work is done."""
    started, steps = perf_counter(), {}
    for key, turn in turns.items():
        t0 = perf_counter()
        turn(1)  # warm: a naive process imports and makes its model before the rounds
        if (each_s := perf_counter() - t0) < 10 * config.round_s:
            t0 = perf_counter()
            turn(2)
            each_s = (perf_counter() - t0) / 2
        steps[key] = int(np.clip(config.round_s / each_s, 1, MAX_STEPS))
    taken: dict[int | Way, list[tuple[float, float]]] = {key: [] for key in turns}
    for number in range(config.rounds):
        if number >= 2 and perf_counter() - started > config.size_s:
            break
        for key in list(turns)[:: 1 if number % 2 else -1]:
            taken[key].append(turns[key](steps[key]))
    return {key: np.array(values) for key, values in taken.items()}


def flops_per_window(stack: ProxyStack, setting: Setting) -> float:
    """Useful floating-point operations of training on one window, as the module says."""
    matrices = sum(
        p[0].numel() for name, p in stack.shards[0].parameters.items() if p.ndim == 3 and "embed" not in name
    )
    attention = setting.num_layers * setting.width * setting.context
    return 6.0 * (matrices + attention) * (setting.context - 1)


def peak_flops(device: str) -> float:
    """Peak of a square matrix product, in floating-point operations a second: the best of some sizes and repeats."""
    best, gpu = 0.0, usable_device(device).type != "cpu"
    with torch_threads(usable_cores()):
        for side in (4096, 8192) if gpu else (1024, 2048):
            a = torch.randn(side, side, dtype=torch.bfloat16 if gpu else torch.float32, device=device)
            for _ in range(20 if gpu else 8):
                t0 = perf_counter()
                a @ a
                if gpu:
                    torch.accelerator.synchronize(a.device)
                best = max(best, 2 * side**3 / (perf_counter() - t0))
    return best


def overhead_fraction(setting: Setting, task: Task) -> float:
    """Share of an interval's time, observation included, that is not training; after the warm-up of `begin`."""
    episode = Episode(task, setting.backend(task, OVERHEAD_SLOTS), setting.episode)
    slots = list(range(OVERHEAD_SLOTS))
    distribution = ScenarioDistribution()
    episode.enter(slots, [distribution.sample(task, slot) for slot in slots], slots)
    episode.run_interval(None)
    before = dict(episode.stopwatch.seconds)
    episode.observe()
    episode.run_interval(episode.weights_NK)
    spent = {part: second - before[part] for part, second in episode.stopwatch.seconds.items()}
    return 1 - spent["train"] / sum(spent.values())


def device_name(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return next(iter(cpu_lines("model name")), platform.processor())


def cpu_lines(field: str) -> list[str]:
    """The values of a field of /proc/cpuinfo, one a core; none where the system has no such file."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return [line.split(": ", 1)[1] for line in lines if line.startswith(field)]


if __name__ == "__main__":
    print(json.dumps(measure(tyro.cli(ProxiesConfig, description=__doc__))))
