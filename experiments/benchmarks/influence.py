"""Does influence say what a step on a document does? Rank correlation with the one-step oracle, and the time of both.

    python -m pretraingym.experiments.benchmarks.influence

Trains one model under natural, then takes the influence of documents (one window each, as many of every category of a
label column) on the mean loss of reference sequences. The oracle takes each document alone: one step of the optimiser
as it stands, the fall of the loss on all reference sequences, then weights and moments as they were. Prints a table;
last line: one JSON object with `spearman_category` (of the means of the categories of all label columns),
`spearman_document`, `speedup` (wall time of the oracle over that of influence, on the same cores), and the correlations
by reference task and by label column, for influence and for its preconditioned variant.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from scipy.stats import spearmanr

from ...env.episode_config import EpisodeConfig
from ...env.scenarios.task import Task
from ...env.settings.setting import Setting
from ...lm.cores import torch_threads, usable_cores
from ...lm.corpus.windows import PART_BITS, count_parts
from ...lm.keyed_random import hash64
from ...lm.models.optimizer_config import OptimizerConfig
from ...lm.proxies.stack import ProxyStack

Floats = NDArray[np.float64]
SHARE = 0.3  # on documents within .02 of the correlation of 1 and of the derivative by autograd, either way


def million() -> Setting:
    """A Llama of 1.08 million parameters, at the rates of the preset 5m."""
    clock = EpisodeConfig(num_intervals=6, steps_per_interval=52, batch_windows=32)
    rates = OptimizerConfig(muon_lr=0.015, adam_lr=0.005)
    return Setting(width=192, num_layers=2, context=64, optimizer=rates, episode=clock)


@dataclass(frozen=True)
class InfluenceConfig:
    """Which model is asked, after how much training, about which documents."""

    corpus: str | None = None
    """folder of a built corpus (default: the installed packages' text)"""
    setting: Setting = field(default_factory=million)
    trained: float = 0.75
    """share of the setting's optimiser steps that are done"""
    category: str = "domain"
    """label column whose categories have equal numbers of documents"""
    documents: int = 256
    """training documents, one window each"""
    references: int = 256
    """windows of the reference tasks' validation parts, as many of each task"""
    repeats: int = 3
    """times that influence is taken before the oracle and again after it; their median counts"""
    seed: int = 0
    """of the model, its data and the documents"""


def measure(config: InfluenceConfig) -> dict[str, Any]:
    """Correlations and seconds, of one model at one point of its training."""
    task, rng = config.setting.open_task(config.corpus), np.random.default_rng(config.seed)
    backend = trained(config, task, rng)
    documents = stratified(task, config.category, config.documents, rng)
    offsets = task.corpus.token_offsets
    parts = count_parts(offsets[documents + 1] - offsets[documents], task.context)
    probe = documents << PART_BITS | (rng.random(len(documents)) * parts).astype(np.int64)
    even = np.full((1, len(task.reference_tasks)), 1 / len(task.reference_tasks))
    reference = task.sample_reference(even, config.references, "validation", hash64(np.array([config.seed], np.uint64)))

    influence_s: list[float] = []
    for _ in range(config.repeats):
        influence_s.append(seconds(lambda: influence_on(backend, reference.ids, probe)))
    t0 = perf_counter()
    fall_PW = oracle(backend, reference.ids[0], probe)
    oracle_s = perf_counter() - t0
    for _ in range(config.repeats):
        influence_s.append(seconds(lambda: influence_on(backend, reference.ids, probe)))

    subsets = {"all": np.ones(config.references, bool)}
    subsets |= {name: reference.task[0] == index for index, name in enumerate(task.reference_tasks)}
    agreement: dict[str, dict[str, Any]] = {"influence": {}, "preconditioned": {}}
    for name, chosen_W in subsets.items():
        ids = reference.ids[:, chosen_W]
        scores = {
            "influence": influence_on(backend, ids, probe),
            "preconditioned": preconditioned(backend, ids, probe[None]),
        }
        for kind, score_P in scores.items():
            agreement[kind][name] = correlations(task, documents, score_P, fall_PW[:, chosen_W].mean(1))
            print(f"{kind}, reference {name}: {agreement[kind][name]}", flush=True)
    return {
        "spearman_category": agreement["influence"]["all"]["category"],
        "spearman_document": agreement["influence"]["all"]["document"],
        "speedup": round(oracle_s / float(np.median(influence_s)), 1),
        "oracle_s": round(oracle_s, 2),
        "influence_s": round(float(np.median(influence_s)), 3),
        "influence_s_range": [round(min(influence_s), 3), round(max(influence_s), 3)],
        "agreement": agreement,
        "params": backend.num_params,
        "steps": int(backend.steps_N[0]),
        "lr_fraction": round(float(backend.learning_rate()[0]), 3),
    }


def influence_on(backend: ProxyStack, reference: NDArray[np.int64], probe: NDArray[np.int64]) -> Floats:
    """Influence of the probe windows (P,) on the mean loss of reference windows (1, W), (P,)."""
    return backend.influence(reference[:, None], np.ones((1, 1)), probe[None], 1)[0][0]


def trained(config: InfluenceConfig, task: Task, rng: np.random.Generator) -> ProxyStack:
    """One model after `trained` of its steps on windows drawn at random from all of the training split."""
    backend, clock = config.setting.backend(task, 1), config.setting.episode
    steps = round(config.trained * clock.total_steps)
    windows = rng.choice(task.windows.ids(task.corpus.splits["train"]), steps * clock.batch_windows, replace=False)
    backend.start(0, config.seed)
    loss = backend.train(windows.reshape(1, steps, clock.batch_windows), np.ones(1, bool))
    print(f"{backend.num_params} parameters, {steps} steps, mean training loss {loss[0]:.3f}", flush=True)
    return backend


def stratified(task: Task, column: str, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """`count` training documents that fill a window, as many of each category of label `column` as there can be."""
    train = task.corpus.splits["train"]
    labels = task.corpus.labels[column].column[train.start : train.stop]
    full = np.diff(task.corpus.token_offsets)[train.start : train.stop] >= task.context
    categories = np.unique(labels[full])
    picks = []
    for index, category in enumerate(categories):
        quota = (count + index) // len(categories)
        members = np.flatnonzero((labels == category) & full)
        picks.append(rng.choice(members, min(quota, len(members)), replace=False))
    return np.concatenate(picks) + train.start


def oracle(backend: ProxyStack, reference: NDArray[np.int64], probe: NDArray[np.int64]) -> Floats:
    """Fall of each reference window's loss by one optimiser step on each probe window alone: (P, W), nats."""
    shard, rate = backend.shards[0], torch.from_numpy(backend.learning_rate()).float()
    reference_NWL = torch.from_numpy(backend.windows.fetch(reference[None]))
    probe_NPL = torch.from_numpy(backend.windows.fetch(probe[None]))
    tensors = shard.tensors()
    saved = [tensor.clone() for tensor in tensors]
    before, after = shard.evaluate(reference_NWL), []
    with torch_threads(usable_cores()):  # those of a stack of one model
        for window in range(len(probe)):
            shard.train_step(probe_NPL[:, window : window + 1], rate)
            after.append(shard.evaluate(reference_NWL))
            torch._foreach_copy_(tensors, saved)
    return (before - torch.cat(after)).double().numpy()


def preconditioned(backend: ProxyStack, reference: NDArray[np.int64], probe: NDArray[np.int64]) -> Floats:
    """Influence along what the optimiser makes of the reference gradient, (P,): half the difference of its steps
    on `SHARE` times that gradient and on as much of its opposite, both from where it stands (AdamW's division by the
    root of the second moment, and the derivative of Muon's orthogonalisation, whose Jacobian is symmetric)."""
    shard, rate = backend.shards[0], torch.from_numpy(backend.learning_rate()).float()
    gradient = shard.gradient(torch.from_numpy(backend.windows.fetch(reference)))
    tensors = shard.tensors()
    saved = [tensor.clone() for tensor in tensors]
    direction: dict[str, torch.Tensor] = {}
    for sign in (1, -1):
        for name, parameter in shard.parameters.items():
            parameter.grad = sign * SHARE * gradient[name]
        shard.optimizer.step(rate)
        for name, parameter in shard.parameters.items():
            parameter.grad = None
            step_down = sign * parameter.data / 2
            direction[name] = direction[name] - step_down if name in direction else -step_down
        torch._foreach_copy_(tensors, saved)
    tokens = torch.from_numpy(backend.windows.fetch(probe))
    return shard.slopes(direction, tokens, backend.train_config.influence_step)[0][0].double().numpy()


def correlations(task: Task, documents: NDArray[np.int64], influence_P: Floats, fall_P: Floats) -> dict[str, float]:
    """Spearman's, of influence with the oracle's fall: of the documents, and of the means of categories (those of eight
    documents or more), of all label columns in one ranking and of each column alone."""
    figures, every = {"document": spearman(influence_P, fall_P)}, np.zeros((0, 2))
    for name, labels in task.corpus.labels.items():
        label_P = labels.column[documents]
        members = [label_P == category for category in np.unique(label_P) if (label_P == category).sum() >= 8]
        means = np.array([(influence_P[of].mean(), fall_P[of].mean()) for of in members]).reshape(-1, 2)
        every = np.concatenate([every, means])
        if len(means) > 2:
            figures[name] = spearman(*means.T)
    return {"category": spearman(*every.T), "categories": len(every), **figures}


def spearman(first: Any, second: Any) -> float:
    return round(float(spearmanr(first, second).statistic), 3)


def seconds(work: Callable[[], object]) -> float:
    t0 = perf_counter()
    work()
    return perf_counter() - t0


if __name__ == "__main__":
    print(json.dumps(measure(tyro.cli(InfluenceConfig, description=__doc__))))
