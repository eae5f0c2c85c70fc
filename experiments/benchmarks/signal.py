"""Signal over noise of a proxy setting: the gain of weights known to be good over its deviation between seeds.

    python -m pretraingym.experiments.benchmarks.signal --seeds 6

Runs natural and one static `match` console side by side from the same weights and random numbers, over several seeds
and both reference tasks. Last line: one JSON object with gain_nats, seed_sd_nats, snr and seconds_per_episode (two
episodes a seed and task; wall seconds with all cores), natural's loss, and the loss of a bigram model that was counted
on as many tokens.
"""

import json
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import tyro

from ...env.episode import Episode, Interval, run_episode
from ...env.scenarios.scenario import Scenario
from ...env.scenarios.task import Task
from ...env.settings.setting import Setting
from ...lm.corpus.corpus import reference_split


@dataclass(frozen=True)
class SignalConfig:
    """How the signal is measured, and of which setting."""

    corpus: str | None = None
    """folder of a built corpus (default: the installed packages' text)"""
    seeds: int = 6
    """pairs of runs for each reference task"""
    strength: float = 0.5
    """weight of the agent that matches the reference task; null has the rest"""
    pool_budgets: float = 50.0
    """tokens of the pool over tokens of the budget"""
    setting: Setting = field(default_factory=Setting)


def measure(config: SignalConfig) -> dict[str, float]:
    """Gain of the match console over natural, nats, and its mean over its deviation between seeds, averaged over
    tasks."""
    task = config.setting.open_task(config.corpus)
    names = task.agent_names
    backend = config.setting.backend(task, 2 * config.seeds)
    gains, losses, t0 = [], [], perf_counter()
    for reference in task.reference_tasks:
        episode = Episode(task, backend, config.setting.episode)
        scenario = Scenario(((reference, 1.0),), config.pool_budgets)
        seeds = [seed for seed in range(config.seeds) for _ in range(2)]
        episode.enter(list(range(2 * config.seeds)), [scenario] * 2 * config.seeds, seeds)
        weights = np.zeros((2 * config.seeds, len(names)))
        weights[0::2, 0] = 1.0
        weights[1::2, 0] = 1 - config.strength
        weights[1::2, names.index(f"match-{reference}")] = config.strength
        intervals: list[Interval] = []
        run_episode(episode, lambda _, weights=weights: weights, on_interval=intervals.append)  # type: ignore[misc]
        last_N = intervals[-1].loss_N
        gains.append(last_N[0::2] - last_N[1::2])
        losses.append(last_N[0::2])
        print(reference, "gains", np.round(gains[-1], 3), "natural loss", np.round(losses[-1], 3))
    elapsed_s = perf_counter() - t0
    mean, deviation = np.mean(gains, 1), np.std(gains, 1, ddof=1)
    spent = episode.stopwatch.seconds
    return {
        "gain_nats": float(mean.mean()),
        "seed_sd_nats": float(deviation.mean()),
        "snr": float((mean / deviation).mean()),
        "seconds_per_episode": elapsed_s / np.size(gains) / 2,
        "natural_loss_nats": float(np.mean(losses)),
        "bigram_loss_nats": bigram_loss_nats(task, config.setting.budget_tokens),
        "natural_seed_sd_nats": float(np.std(losses, 1, ddof=1).mean()),
        "overhead_fraction": 1 - spent["train"] / sum(spent.values()),
        "proxy_params": backend.num_params,
    }


def bigram_loss_nats(task: Task, budget_tokens: int) -> float:
    """Mean over reference tasks' validation windows of the loss of bigram counts from `budget_tokens` of natural text,
    shrunk towards the unigram counts by whatever weight suits those very windows best, nats per token."""
    rng, size = np.random.default_rng(0), task.corpus.vocab_size
    drawn = rng.choice(task.windows.ids(task.corpus.splits["train"]), budget_tokens // task.context, replace=False)
    counts = np.zeros((size, size))
    np.add.at(counts, _pairs(task, drawn), 1)
    unigram = (counts.sum(0) + 1) / (counts.sum() + size)
    splits = (reference_split(name, "validation") for name in task.reference_tasks)
    references = [task.windows.ids(task.corpus.splits[split]) for split in splits]
    losses = []
    for weight in (1, 3, 10, 30, 100):
        chance = (counts + weight * unigram) / (counts.sum(1, keepdims=True) + weight)
        losses.append(np.mean([-np.log(chance[_pairs(task, np.array(ids))]).mean() for ids in references]))
    return float(min(losses))


def _pairs(task: Task, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each token that is predicted in windows `ids`, after the one before it."""
    tokens = task.windows.fetch(ids)
    inside = tokens[:, 1:] >= 0
    return tokens[:, :-1][inside], tokens[:, 1:][inside]


if __name__ == "__main__":
    print(json.dumps(measure(tyro.cli(SignalConfig, description=__doc__))))
