"""Policies on one scenario, side by side: from the same weights and random numbers to the end of the budget."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..env.episode import Episode, Outcome
from ..env.observation import Observation
from ..env.scenario import Scenario
from ..env.setting import Setting
from ..env.task import Task
from ..policies.base import Policy, act_apart


@dataclass(frozen=True)
class Played:
    """A finished episode of N runs, one a policy: what they saw first, the weights of every interval (I, N, K), and
    what came of the last one, in which a run that diverged at any time has no loss."""

    episode: Episode
    first: Observation
    weights_INK: NDArray[np.float64]
    outcome: Outcome


def play(setting: Setting, task: Task, policies: Sequence[Policy], scenario: Scenario, seed: int) -> Played:
    """All of `policies` on the scenario, with fresh models of that seed, to the end or until all have diverged."""
    for policy in policies:
        policy.reset(task.agent_names, 1)
    episode = Episode(task, setting.learner(task, len(policies)), setting.episode)
    episode.begin(list(range(len(policies))), [scenario] * len(policies), [seed] * len(policies))
    seen, weights = [], []
    while (active := episode.interval_N < setting.episode.num_intervals).any():
        seen.append(episode.observe())
        natural = np.eye(len(task.agent_names))[0]
        weights.append(np.where(active[:, None], act_apart(policies, seen[-1]), natural))
        outcome = episode.step(weights[-1], active)
    return Played(episode, seen[0], np.stack(weights), outcome)
