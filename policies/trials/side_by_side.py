"""Policies on one scenario, side by side: runs of each from the same initial weights and random numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ...env.console.limits import Limit
from ...env.console.weights import natural_weights
from ...env.episode import Episode, Interval, run_episode
from ...env.observation.observation import Observation
from ...env.scenarios.scenario import Scenario
from ...env.scenarios.task import Task
from ...env.settings.setting import Setting
from ..base import Policy, act_apart


@dataclass(frozen=True)
class FinishedEpisode:
    """An episode at its end. Its N runs are policy by policy, and of each policy seed by seed. first: what the policies
    observed before they first chose; weights_INK: of every interval; last: the last interval, in which a run that
    diverged at any time has no loss."""

    episode: Episode
    first: Observation
    weights_INK: NDArray[np.float64]
    last: Interval


def run_side_by_side(
    setting: Setting,
    task: Task,
    policies: Sequence[Policy],
    scenario: Scenario,
    seeds: Sequence[int],
    limits: tuple[Limit, ...] = (),
    on_interval: Callable[[Interval], None] = lambda interval: None,
    own_seeds: Mapping[int, Sequence[int]] = MappingProxyType({}),
) -> FinishedEpisode:
    """Run each of `policies` on the scenario once with each of `seeds`, all at the same time, with new models, to the
    end or until all have diverged. own_seeds: by the place of a policy, as many seeds in place of these. InputError:
    the limits cannot be kept on that scenario."""
    count = len(policies) * len(seeds)
    for policy in policies:
        policy.reset(task.agent_names, len(seeds))
    seen: list[Observation] = []
    chosen: list[NDArray[np.float64]] = []
    intervals: list[Interval] = []

    def decide(episode: Episode) -> NDArray[np.float64]:
        seen.append(episode.observe())
        natural = natural_weights(count, len(task.agent_names))
        chosen.append(np.where(episode.done_N[:, None], natural, act_apart(policies, seen[-1])))
        return chosen[-1]

    def note(interval: Interval) -> None:
        intervals.append(interval)
        on_interval(interval)

    episode = Episode(task, setting.backend(task, count), setting.episode, limits)
    seeds_N = [seed for place in range(len(policies)) for seed in own_seeds.get(place, seeds)]
    episode.enter(list(range(count)), [scenario] * count, seeds_N)
    run_episode(episode, decide, on_interval=note)
    return FinishedEpisode(episode, seen[0], np.stack(chosen), intervals[-1])
