"""Tokens a second of a target's training, beside `transformers.Trainer` and a loop written by hand, in one run.

    python -m pretraingym.experiments.benchmarks.target --corpus FOLDER

Model, batches and precision are the same; the three take turns, and each one's best turn counts, since the machine is
shared. Ours has Muon on matrices, AdamW on the rest and a running average of the weights, which take optimizer_fraction
of a step (by operations 1% with 350 million parameters and half a million tokens, half with the quickstart's target);
the two others have torch's fused AdamW. mfu: FLOPs of the model (`lm/models/flops.py`) over the best product of square
matrices seen in this run, in the same precision. console_fraction: share of an interval of the preset's length that
probe, selection, observation and policy (ten-tasks) take, measured apart from training. Prints a table; last line: one
JSON object.
"""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from ...env.episode import Episode, run_episode
from ...env.scenarios.pool import whole_corpus_scenario
from ...env.scenarios.task import Task
from ...env.settings.setting import Setting
from ...lm.corpus.corpus import Corpus
from ...lm.models.causal_lm import ready_model
from ...lm.models.engine_config import EngineConfig
from ...lm.models.flops import TrainingCost
from ...lm.target.target import Target
from ...policies.registry import make_policy
from ..commands.presets import PRESETS
from ..commands.pretrain import PretrainConfig

ACTIVE = np.ones(1, bool)


@dataclass(frozen=True)
class TargetBenchConfig:
    """Time the training of targets."""

    corpus: Path
    """folder of a built corpus"""
    presets: tuple[str, ...] = ()
    """of pretrain; default: quick and 5m on a CPU, 125m and 350m on a GPU"""
    turns: int = 3
    """of each way to train"""
    steps: int = 6
    """of each turn, after two that do not count"""


def main(config: TargetBenchConfig) -> dict[str, Any]:
    """Time all ways for each preset."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    names = config.presets or (("125m", "350m") if device == "cuda" else ("quick", "5m"))
    table = Table("preset", "million", "ours", "Trainer", "by hand", "share of peak", "console", "optimizer")
    rows = []
    for name in names:
        preset = PRESETS[PretrainConfig][name]()
        assert isinstance(preset, PretrainConfig)
        setting = replace(preset.target, device=device)
        row = measure(config, setting, preset.engine, setting.task(Corpus.open(config.corpus)))
        speeds = [f"{row[f'{way}_tokens_per_s']:,.0f}" for way in ("ours", "trainer", "minimal")]
        shares = [f"{row[part]:.3f}" for part in ("mfu", "console_fraction", "optimizer_fraction")]
        table.add_row(name, f"{row['params'] / 1e6:.1f}", *speeds, *shares)
        rows.append(row)
    Console(stderr=True).print(table)
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "torch": torch.__version__,
        "rows": rows,
    }


def measure(config: TargetBenchConfig, setting: Setting, engine: EngineConfig, task: Task) -> dict[str, Any]:
    """Figures of one setting: all ways to train it, and what its console takes."""
    batch, steps = setting.episode.batch_windows, 2 + config.steps
    every = task.windows.ids(task.corpus.splits["train"])
    full = every[task.windows.lengths(every) == setting.context]  # so that all three do the same work
    ids = np.random.default_rng(0).choice(full, (1, steps, batch))
    target = setting.target(task, engine)
    ways: dict[str, Callable[[], float]] = {
        "ours": lambda: _ours(target, ids),
        "trainer": lambda: _trainer(setting, engine, task, ids),
        "minimal": lambda: _minimal(setting, engine, task, ids),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    peak = 0.0
    for _ in range(config.turns):
        peak = max(peak, matrix_peak(setting.device, setting.products))
        for name, way in ways.items():
            seconds[name].append(way())
    tokens = batch * setting.context * config.steps
    speed = {f"{name}_tokens_per_s": tokens / min(each) for name, each in seconds.items()}
    cost = TrainingCost.of(target.config, setting.context)
    step_s = batch * setting.context / speed["ours_tokens_per_s"]
    console_s = _console_s(setting, task, target)
    interval_s = setting.episode.steps_per_interval * step_s
    return {
        "params": target.num_params,
        **{name: round(value, 1) for name, value in speed.items()},
        "mfu": round(speed["ours_tokens_per_s"] * cost.flops_per_token / peak, 4),
        "console_fraction": round(console_s / (console_s + interval_s), 5),
        "optimizer_fraction": round(_optimizer_s(target) / step_s, 4),
        "peak_flops_per_s": peak,
        "tokens_per_step": batch * setting.context,
        "seconds": {name: [round(value, 3) for value in each] for name, each in seconds.items()},
    }


def matrix_peak(device: str, products: torch.dtype) -> float:
    """Operations a second of the best of ten products of square matrices."""
    size = 8192 if device == "cuda" else 2048
    one, other = torch.randn(2, size, size, device=device).to(products)
    times = []
    for _ in range(10):
        _wait(device)
        t0 = perf_counter()
        torch.mm(one, other)
        _wait(device)
        times.append(perf_counter() - t0)
    return 2.0 * size**3 / min(times)


def _ours(target: Target, ids: np.ndarray) -> float:
    target.train(ids[:, :2], ACTIVE)
    t0 = perf_counter()
    target.train(ids[:, 2:], ACTIVE)  # which waits for its losses
    return perf_counter() - t0


def _trainer(setting: Setting, engine: EngineConfig, task: Task, ids: np.ndarray) -> float:
    model = ready_model(setting.model_config(task.corpus.vocab_size), 0, None, engine)
    rows = [{"input_ids": row, "labels": row} for row in torch.from_numpy(task.windows.fetch(ids[0].ravel()))]
    batch = ids.shape[2]
    clock = _Clock(setting.device)
    with tempfile.TemporaryDirectory() as folder:
        args = TrainingArguments(
            folder, max_steps=ids.shape[1], per_device_train_batch_size=engine.pass_sequences,
            gradient_accumulation_steps=-(-batch // engine.pass_sequences), report_to=[], logging_strategy="no",
            save_strategy="no", disable_tqdm=True, use_cpu=setting.device == "cpu", max_grad_norm=0.0,
            bf16=setting.products == torch.bfloat16, torch_compile=engine.compile and setting.device != "cpu",
            optim="adamw_torch_fused", lr_scheduler_type="constant",
        )  # fmt: skip
        trainer = Trainer(model, args, train_dataset=rows, callbacks=[clock])
        trainer.remove_callback(PrinterCallback)  # it writes to standard output
        trainer.train()
    return clock.ends[-1] - clock.ends[1]


class _Clock(TrainerCallback):
    def __init__(self, device: str) -> None:
        self.device, self.ends = device, list[float]()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        _wait(self.device)
        self.ends.append(perf_counter())


def _minimal(setting: Setting, engine: EngineConfig, task: Task, ids: np.ndarray) -> float:
    model: Any = ready_model(setting.model_config(task.corpus.vocab_size), 0, None, engine).to(setting.device)
    if engine.compile and setting.device != "cpu":
        model.compile()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    t0 = 0.0
    for step, row in enumerate(ids[0]):
        if step == 2:
            _wait(setting.device)
            t0 = perf_counter()
        for part in torch.from_numpy(task.windows.fetch(row)).split(engine.pass_sequences):
            tokens = part.to(setting.device)
            with torch.autocast(setting.device, setting.products, setting.products != torch.float32):
                loss = model(input_ids=tokens, labels=tokens, use_cache=False).loss * len(part) / len(row)
            loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    _wait(setting.device)
    return perf_counter() - t0


def _console_s(setting: Setting, task: Task, target: Target) -> float:
    """Seconds of all that a console adds to one interval, the best of two."""
    clock = replace(setting.episode, num_intervals=4, steps_per_interval=1, warmup_steps=1, batch_windows=4)
    episode, policy = Episode(task, target, clock), make_policy("ten-tasks")
    policy.reset(task.agent_names, 1)
    episode.enter([0], [whole_corpus_scenario(task, setting.budget_tokens, {})], [0])
    decided: list[float] = []

    def decide(episode: Episode) -> NDArray[np.float64]:
        t0 = perf_counter()
        weights = policy.act(episode.observe())
        decided.append(perf_counter() - t0)
        return weights

    spent: list[float] = []  # of probe and selection, after each interval
    run_episode(
        episode,
        decide,
        active=lambda: np.array([len(decided) < 3]),
        on_interval=lambda _: spent.append(sum(episode.stopwatch.seconds[part] for part in ("influence", "select"))),
    )
    each = np.array(decided) + np.diff(spent)
    return float(each[1:].min())


def _optimizer_s(target: Target) -> float:
    """Seconds of Muon, AdamW and the running average in a step of ours, the best of five."""
    model, device = target.model, target.ranks.device.type
    times = []
    for _ in range(5):
        for parameter in model.parameters.values():
            parameter.grad = torch.ones_like(parameter)
        _wait(device)
        t0 = perf_counter()
        model.update(0.0)
        _wait(device)
        times.append(perf_counter() - t0)
    return min(times)


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    print(json.dumps(main(tyro.cli(TargetBenchConfig, description=__doc__))))
