"""Policies on one scenario, side by side: a run each from the same initial weights and random numbers; and natural from
others, to see what chance alone gives."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...env.console.weights import natural_weights
from ...env.episode import Episode, Interval, run_episode
from ...env.observation.observation import Observation
from ...env.scenarios.scenario import Scenario
from ...env.scenarios.task import Task
from ...env.settings.setting import Setting
from ...policies.base import Policy, act_apart
from ...policies.baselines.fixed import Natural
from ..analysis.statistics import NATURAL, NATURAL_ANEW

ANEW = 2**32  # from a run's seed to that of natural anew: further than the repeats of a scenario


@dataclass(frozen=True)
class FinishedEpisode:
    """An episode of N runs, one a policy, at its end. first: what the policies observed before they first chose;
    weights_INK: of every interval; last: the last interval, in which a run that diverged at any time has no loss."""

    episode: Episode
    first: Observation
    weights_INK: NDArray[np.float64]
    last: Interval


def run_side_by_side(
    setting: Setting,
    task: Task,
    policies: Sequence[Policy],
    scenario: Scenario,
    seed: int,
    seeds: Sequence[int] | None = None,
) -> FinishedEpisode:
    """Run all of `policies` on the scenario, with new models of that seed, to the end or until all have diverged.
    seeds: one a policy, where they are not the same."""
    count = len(policies)
    for policy in policies:
        policy.reset(task.agent_names, 1)
    seen: list[Observation] = []
    chosen: list[NDArray[np.float64]] = []
    intervals: list[Interval] = []

    def decide(episode: Episode) -> NDArray[np.float64]:
        seen.append(episode.observe())
        natural = natural_weights(count, len(task.agent_names))
        chosen.append(np.where(episode.done_N[:, None], natural, act_apart(policies, seen[-1])))
        return chosen[-1]

    episode = Episode(task, setting.backend(task, count), setting.episode)
    episode.enter(list(range(count)), [scenario] * count, list(seeds or [seed] * count))
    run_episode(episode, decide, on_interval=intervals.append)
    return FinishedEpisode(episode, seen[0], np.stack(chosen), intervals[-1])


def outcomes(
    setting: Setting,
    task: Task,
    policies: dict[str, Policy],
    scenario: Scenario,
    seed: int,
    test_windows: int,
    anew: bool = False,
) -> dict[str, dict[str, Any]]:
    """Run natural and all of `policies` side by side; what each came to, as JSON has it: `validation_loss_nats` by the
    scenario's mixture, `test_loss_nats` by task, `tokens`, and its mean `weights`. A run that diverged has null.

    anew: also natural from another seed, of the same pool: other initial weights, draws and validation windows."""
    own, seeds = {NATURAL: Natural(), **policies}, [seed] * (1 + len(policies))
    if anew:
        own[NATURAL_ANEW] = Natural()
        seeds.append((seed + ANEW) % 2**63)
        scenario = replace(scenario, pool_seed=seed if scenario.pool_seed is None else scenario.pool_seed)
    finished = run_side_by_side(setting, task, list(own.values()), scenario, seed, seeds)
    last, weights_NK = finished.last, finished.weights_INK.mean(0)
    test_NT = finished.episode.measuring.test_losses(test_windows)
    return {
        name: {
            "validation_loss_nats": _number(last.loss_N[run]),
            "test_loss_nats": {of: _number(loss) for of, loss in zip(task.reference_tasks, test_NT[run], strict=True)},
            "tokens": int(last.tokens_N[run]),
            "weights": dict(zip(task.agent_names, weights_NK[run].round(3).tolist(), strict=True)),
        }
        for run, name in enumerate(own)
    }


def _number(value: float) -> float | None:
    return round(float(value), 5) if np.isfinite(value) else None
