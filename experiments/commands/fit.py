"""pretraingym fit: the best mixture by tables of proxy runs that anyone made."""

import json
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rich.console import Console

from ...lm.io.errors import InputError
from ...lm.io.files import write_atomic
from ..analysis.statistics import rank_correlation
from ..mixtures.best import Best, best_mixture
from ..mixtures.regression import HeldOut, MixtureRegression, held_out
from ..mixtures.report import DECIMALS, constant_policy, limit_flags, loss_in_words, loss_lines, mixture_table
from ..mixtures.runs import Runs, check_enough, check_test, read_runs
from ..progress import Progress
from ..runs.preflight import check_seed

LEAST_RESAMPLES = 20  # of which a 95% interval can be told


@dataclass(frozen=True)
class FitConfig:
    """Find the best mixture by tables of proxy runs: their mixtures and their losses. The regression is RegMix's, with
    a smooth part; how well it ranks runs that it was not fitted to is told first. Rows are joined on a column index,
    id, run, run_id, run_name or name, or a first one without a name, if both files have one, else row by row. Commas,
    semicolons and tabs are told apart, shares and percent too."""

    mixtures: tyro.conf.Positional[Path]
    """csv with a row for each run and a column for each domain (or agent): shares that sum to 1 within a hundredth"""
    losses: tyro.conf.Positional[Path]
    """csv with a row for each run and a column for each loss"""
    loss: tuple[str, ...] = ()
    """the column of losses to minimise; of several, their mean (default: the mean of all)"""
    domains: tuple[str, ...] = ()
    """the columns of mixtures that are shares (default: all but the runs' id)"""
    test: tuple[Path, ...] = ()
    """MIXTURES LOSSES of other runs, on which to test what was fitted, also several such pairs; they may be of another
    size of model, since only their ranks are compared"""
    folder: Path = Path("runs/fit")
    """where results.json goes, in place of an earlier one"""
    resamples: int = 40
    """refits to mixtures drawn with replacement, with their runs, for the intervals"""
    seed: int = 0
    """seed of the folds, the simulated mixtures, the resamples, and which 2,000 of more runs the smooth part has"""

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if len(self.test) % 2:
            raise InputError(f"--test has {len(self.test)} files, expected pairs: MIXTURES LOSSES")
        if self.resamples < LEAST_RESAMPLES:
            raise InputError(f"resamples is {self.resamples}, expected at least {LEAST_RESAMPLES}")
        for name, given in (("loss", self.loss), ("domains", self.domains)):
            if double := [each for each in given if given.count(each) > 1]:
                raise InputError(f"--{name} names '{double[0]}' twice, expected each once")


def main(config: FitConfig) -> dict[str, Any]:
    """Fit, print what was found, write results.json, return the most of it."""
    runs, tests = _read(config)
    config.folder.mkdir(parents=True, exist_ok=True)
    with Progress() as progress:
        progress.stage("cross-validation", 20)
        scores = held_out(runs.mixtures, runs.loss_N, config.seed)
        progress.stage("best mixture", 60)
        regression = MixtureRegression(scores.trees_share, seed=config.seed).fit(runs.mixtures, runs.loss_N)
        rng = np.random.default_rng(config.seed)
        best = best_mixture(
            runs, regression, config.resamples, rng, lambda count: progress.update(count, config.resamples)
        )
    told = _told(config, runs, tests, scores, regression)
    policy, limits = constant_policy(runs.domains, best.mixture), limit_flags(runs.domains, best.mixture)
    written = {
        **told,
        "policy": policy,
        "limits": limits,
        "columns": _columns(runs, best),
        **{name: value for name, value in asdict(best).items() if name not in ("mixture", "low", "high")},
        "mixtures": str(config.mixtures),
        "losses": str(config.losses),
        "seed": config.seed,
        "resamples": config.resamples,
    }
    path = config.folder / "results.json"
    write_atomic(path, json.dumps(written, indent=1, allow_nan=False).encode())
    lines = loss_lines(runs, best, scores.predicted_N)
    _print(runs, best, told, [*lines, "", *_uses(policy, limits)])
    return {"results": str(path), **told, "gain": best.gain, "gain_ci95": best.gain_ci95, "policy": policy}


def _read(config: FitConfig) -> tuple[Runs, dict[str, Runs]]:
    """The runs to fit on, and those of each pair of --test, by the names of its files. InputError: bad input, all of it
    before any work."""
    runs = read_runs(config.mixtures, config.losses, config.domains, config.loss)
    check_enough(runs, config.mixtures)
    if np.ptp(runs.loss_N) == 0:
        raise InputError(
            f"{config.losses}: {loss_in_words(runs.losses)} is the same for every run; name another --loss"
        )
    tests = {}
    for mixtures, losses in zip(config.test[::2], config.test[1::2], strict=True):
        test = read_runs(mixtures, losses, runs.domains, runs.losses)
        check_test(test, mixtures)
        if mixtures.samefile(config.mixtures) and losses.samefile(config.losses):
            raise InputError(f"--test {mixtures} {losses} are the runs to fit on, expected others")
        tests[f"{mixtures} {losses}"] = test
    return runs, tests


def _told(
    config: FitConfig, runs: Runs, tests: dict[str, Runs], scores: HeldOut, regression: MixtureRegression
) -> dict[str, Any]:
    """Counts and scores."""
    predicted = {name: regression.predict(test.mixtures) for name, test in tests.items()}
    return {
        "runs": len(runs.loss_N),
        "joined": runs.joined,
        "loss": runs.losses,
        "spearman": rank_correlation(scores.predicted_N, runs.loss_N),
        "rmse": float(np.sqrt(((scores.predicted_N - runs.loss_N) ** 2).mean())),
        "trees_share": scores.trees_share,
        "test": {
            name: {"runs": len(test.loss_N), "spearman": rank_correlation(predicted[name], test.loss_N)}
            for name, test in tests.items()
        },
    }


def _columns(runs: Runs, best: Best) -> dict[str, dict[str, float]]:
    rows = zip(runs.domains, best.mixture, best.low, best.high, runs.mixtures.mean(0), strict=True)
    return {
        name: {"best": float(share), "low": float(low), "high": float(high), "mean": float(mean)}
        for name, share, low, high, mean in rows
    }


def _uses(policy: str | None, limits: str | None) -> list[str]:
    """How the mixture is used."""
    as_policy = "cannot be written, since a column is called strength or has = or , in its name"
    as_policy = as_policy if policy is None else shlex.quote(policy)
    as_limits = f"no limits can be written, since every share is below {10**-DECIMALS:g}"
    as_limits = as_limits if limits is None else f"pretraingym pretrain --policy natural {limits}"
    return [
        f"where the columns are domains of your corpus: {as_limits}",
        f"where they are agents, the policy: {as_policy}",
    ]


def _print(runs: Runs, best: Best, told: dict[str, Any], lines: list[str]) -> None:
    console = Console(highlight=False, markup=False)
    texts = [f"{told['runs']} runs, joined {runs.joined}; minimised: {loss_in_words(runs.losses)}"]
    texts += [f"rank correlation (Spearman) on runs held out: {told['spearman']:.4f}, error {told['rmse']:.4f}"]
    texts += [f"... on {test['runs']} runs of {name}: {test['spearman']:.4f}" for name, test in told["test"].items()]
    for text in [*texts, "", mixture_table(runs, best), "", *lines]:
        console.print(text, soft_wrap=isinstance(text, str))
