"""Policies on one scenario, side by side: from the same weights and random numbers to the end of the budget."""

from collections.abc import Sequence
from dataclasses import dataclass
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
from ..analysis.statistics import NATURAL


@dataclass(frozen=True)
class Played:
    """A finished episode of N runs, one a policy: what they saw first, the weights of every interval (I, N, K), and
    the last interval, in which a run that diverged at any time has no loss."""

    episode: Episode
    first: Observation
    weights_INK: NDArray[np.float64]
    last: Interval


def play(setting: Setting, task: Task, policies: Sequence[Policy], scenario: Scenario, seed: int) -> Played:
    """All of `policies` on the scenario, with fresh models of that seed, to the end or until all have diverged."""
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
    episode.enter(list(range(count)), [scenario] * count, [seed] * count)
    run_episode(episode, decide, on_interval=intervals.append)
    return Played(episode, seen[0], np.stack(chosen), intervals[-1])


def side_by_side(
    setting: Setting, task: Task, policies: dict[str, Policy], scenario: Scenario, seed: int, test_windows: int
) -> dict[str, dict[str, Any]]:
    """Of natural and every policy, from the same weights and random numbers: `validation_loss_nats` by the scenario's
    mixture, `test_loss_nats` by task, `tokens`, and the mean `weights` that it chose. A run that diverged has null."""
    own = {NATURAL: Natural(), **policies}
    played = play(setting, task, list(own.values()), scenario, seed)
    last, weights_NK = played.last, played.weights_INK.mean(0)
    test_NT = played.episode.measuring.test_losses(test_windows)
    return {
        name: {
            "validation_loss_nats": _number(last.loss_N[run]),
            "test_loss_nats": {of: _number(loss) for of, loss in zip(task.tasks, test_NT[run], strict=True)},
            "tokens": int(last.tokens_N[run]),
            "weights": dict(zip(task.agent_names, weights_NK[run].round(3).tolist(), strict=True)),
        }
        for run, name in enumerate(own)
    }


def _number(value: float) -> float | None:
    return round(float(value), 5) if np.isfinite(value) else None
