"""pretraingym surrogate fit: fit a surrogate of a run's proxies to the episodes that the run recorded."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ...env.recording.config_record import ConfigRecord
from ...env.recording.episode_record import EpisodeRecord
from ...env.recording.record_file import read_records
from ...env.settings.fitted_dynamics import FittedDynamics
from ...lm.io.errors import InputError
from ...lm.io.files import write_atomic
from ..analysis.statistics import rank_correlation
from ..analysis.worth_model import EpisodeTable, WorthModel, fit_worth

Array = NDArray[np.float64]
LEAST_SEEDS = 8  # different seeds among the episodes, so that a quarter of them can be held out


@dataclass(frozen=True)
class SurrogateFitConfig:
    """Fit a surrogate to a run's recorded episodes, and report how well it predicts episodes that were held out."""

    run: tyro.conf.Positional[Path]
    """folder of a run, with its episodes.jsonl; surrogate.json is written there"""
    held_out: float = 0.25
    """share of the scenarios to hold out, with all their episodes"""
    seed: int = 0
    """seed of the choice of these scenarios"""

    def __post_init__(self) -> None:
        if not 0 < self.held_out < 1:
            raise InputError(f"held_out is {self.held_out}, expected a share between 0 and 1")


def main(config: SurrogateFitConfig) -> dict[str, Any]:
    """Fit, print a table of scores, write surrogate.json, and return the scores. Scores are of the episodes held out;
    the file that is written was fitted to all episodes."""
    record, episodes = _episodes(config.run / "episodes.jsonl")
    table = EpisodeTable.of(episodes, list(record.columns), record.tasks)
    test_N = _held_out(table.seed_N, config)
    train, test = table.subset(~test_N), table.subset(test_N)
    models = {"fitted": fit_worth(train), "tokens alone": fit_worth(train, knows_labels=False)}
    scores = {name: score(test, model.final(test)) for name, model in models.items()}
    whole = fit_worth(table)
    path = config.run / "surrogate.json"
    content = fitted_dynamics(record, table, whole).as_json()
    write_atomic(path, json.dumps(content, allow_nan=False).encode())
    Console().print(_as_table(scores, models["fitted"]))
    counts = {"episodes": len(episodes), "held_out": int(test_N.sum()), "noise_sd": models["fitted"].residual_sd}
    return {"surrogate": str(path), **counts, **scores["fitted"], "tokens_alone": scores["tokens alone"]}


def fitted_dynamics(record: ConfigRecord, table: EpisodeTable, model: WorthModel) -> FittedDynamics:
    """The surrogate that the model stands for: its values by label column and category."""
    ends = np.cumsum([len(names) for names in record.columns.values()])[:-1]
    theta, natural = np.split(model.theta_QT, ends), np.split(table.natural_Q, ends)
    floor_T, amplitude_T, exponent_T = model.curve
    return FittedDynamics(
        fingerprint=record.corpus.fingerprint,
        tasks=record.tasks,
        columns=record.columns,
        natural=dict(zip(record.columns, natural, strict=True)),
        theta=dict(zip(record.columns, theta, strict=True)),
        floor_T=floor_T,
        amplitude_T=amplitude_T,
        exponent_T=exponent_T,
        loss_sd=model.residual_sd,
        episodes=len(table.final_N),
    )


def score(table: EpisodeTable, predicted_N: Array) -> dict[str, float]:
    """Scores of predicted final losses (N,): rank correlation with the real ones (`spearman`), root mean square error
    (`rmse`, nats per token), both again for gains over the control of the same seed (`spearman_gain`, `rmse_gain`), and
    `spearman_within`: the mean rank correlation among the runs of one seed, over seeds with at least three runs (0
    where all predictions are equal)."""
    gains: list[tuple[Array, Array]] = []  # predicted and real, by seed
    for seed in np.unique(table.seed_N[table.control_N]):
        of_seed = table.seed_N == seed
        control, runs = np.flatnonzero(of_seed & table.control_N)[0], of_seed & ~table.control_N
        gains.append((predicted_N[control] - predicted_N[runs], table.final_N[control] - table.final_N[runs]))
    within = [_spearman(*pair) for pair in gains if len(pair[0]) >= 3]
    predicted, real = map(np.concatenate, zip(*gains, strict=True)) if gains else np.zeros((2, 0))
    return {
        "spearman": _spearman(predicted_N, table.final_N),
        "rmse": float(np.sqrt(((predicted_N - table.final_N) ** 2).mean())),
        "spearman_gain": _spearman(predicted, real),
        "rmse_gain": float(np.sqrt(((predicted - real) ** 2).mean())) if len(real) else 0.0,
        "spearman_within": float(np.mean(within)) if within else 0.0,
    }


def _episodes(path: Path) -> tuple[ConfigRecord, list[EpisodeRecord]]:
    """The config of most episodes, and all of its episodes that did not diverge, each once. InputError: too few
    seeds."""
    configs, episodes = read_records(path)
    once = {(each.config, each.seed, each.control, each.weights_IK.tobytes()): each for each in episodes}
    ended = [each for each in once.values() if not each.diverged and np.isfinite(each.loss).all()]
    count = {key: sum(each.config == key for each in ended) for key in configs}
    most = max(count, key=lambda key: count[key], default="")
    chosen = [each for each in ended if each.config == most]
    if (seeds := len({each.seed for each in chosen})) < LEAST_SEEDS:
        raise InputError(
            f"{path} has {len(chosen)} finished episodes of {seeds} seeds under one config, expected at least "
            f"{LEAST_SEEDS} seeds: record more"
        )
    return configs[most], chosen


def _held_out(seed_N: NDArray[np.int64], config: SurrogateFitConfig) -> NDArray[np.bool_]:
    """Which episodes are held out: all of a seed or none, so that a run stays with its group and its control."""
    seeds = np.random.default_rng(config.seed).permutation(np.unique(seed_N))
    return np.isin(seed_N, seeds[: max(2, round(config.held_out * len(seeds)))])


def _spearman(predicted: Array, real: Array) -> float:
    """Rank correlation, 0 where there is nothing to rank. Predictions are rounded, so that rounding errors rank
    nothing."""
    return rank_correlation(predicted.round(9), real) if len(predicted) >= 3 else 0.0


def _as_table(scores: dict[str, dict[str, float]], fitted: WorthModel) -> Table:
    table = Table(title=f"episodes held out; noise and misfit of those fitted to: {fitted.residual_sd:.3f} nats a run")
    for heading in ("model", "last loss: rank", "error, nats", "gain: rank", "error, nats", "rank in a scenario"):
        table.add_column(heading)
    for name, of_model in scores.items():
        table.add_row(name, *(f"{number:.3f}" for number in of_model.values()))
    return table
