"""The transitions behind every face of the environment: runs, their controls, seeds and rewards."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..lm.errors import InputError
from .action import ActionMap
from .episode import Episode, Outcome
from .observation import AGENT_FEATURES, TRAINING_FEATURES, Observation
from .scenario import SETS, Scenario, sample_scenario
from .setting import Setting
from .task import Task

DIVERGENCE_PENALTY_NATS = 1.0  # about three times the largest gain seen: never worth it (assumed)
REWARDS = ("paired", "raw")


@dataclass(frozen=True)
class Transition:
    """One step of N runs: rewards (N,) nats, terminated (N,), and what happened underneath."""

    reward_N: NDArray[np.float64]
    terminated_N: NDArray[np.bool_]
    outcome: Outcome


class ConsoleCore:
    """N visible runs in groups of `group_size` that share scenario, initial weights and random numbers, and, for
    reward "paired", one hidden control a group: the twin under natural, whose fall of the loss is subtracted.

    Episode e of group g under base seed s is the same run whatever N. A run that diverged repeats its episode; the
    others of its group go on, and it follows them one episode behind."""

    def __init__(
        self, task: Task, setting: Setting, num_envs: int, group_size: int, reward: str, scenario_set: str
    ) -> None:
        if reward not in REWARDS:
            raise InputError(f"reward is '{reward}', expected one of {', '.join(REWARDS)}")
        if scenario_set not in SETS:
            raise InputError(f"scenario_set is '{scenario_set}', expected one of {', '.join(SETS)}")
        if num_envs < 1 or group_size < 1 or num_envs % group_size:
            raise InputError(f"num_envs {num_envs} is not a multiple of group_size {group_size}: give whole groups")
        self.num_envs, self.group_size, self.scenario_set = num_envs, group_size, scenario_set
        self.num_groups = num_envs // group_size
        num_controls = self.num_groups if reward == "paired" else 0
        self.task, self.setting = task, setting
        self.episode = Episode(task, setting.learner(task, num_envs + num_controls), setting.episode)
        self.group_of = np.concatenate([np.repeat(np.arange(self.num_groups), group_size), np.arange(num_controls)])
        self.number_of = np.zeros(num_envs + num_controls, np.int64)  # of the episode each slot is in
        self.control_falls: dict[tuple[int, int], list[float]] = {}
        self.scenario: Scenario | None = None  # the same for all runs, if set at reset
        self.base_seed: int | None = None  # until the first reset

    @property
    def action_map(self) -> ActionMap:
        return self.setting.episode.action_map

    @property
    def observation_shapes(self) -> dict[str, tuple[int, ...]]:
        num_agents = len(self.task.agent_names)
        agents = (num_agents, len(AGENT_FEATURES))
        return {"agents": agents, "mask": (num_agents,), "training": (len(TRAINING_FEATURES),)}

    def run_seed(self, group: int, number: int) -> int:
        """Seed of episode `number` of `group`: the sets never share one."""
        assert self.base_seed is not None, "reset comes first"
        entropy = [self.base_seed, SETS.index(self.scenario_set), group, number]
        return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))

    def run_scenario(self, group: int, number: int) -> Scenario:
        if self.scenario is not None:
            return self.scenario
        return sample_scenario(self.task.tasks, self.run_seed(group, number))

    def reset(self, seed: int, number: int, scenario: Scenario | None) -> None:
        """Start episode `number` of every group."""
        self.base_seed, self.scenario = seed, scenario
        self.number_of[:] = number
        self.control_falls.clear()
        self.begin(np.arange(len(self.number_of)))

    def begin(self, slots: NDArray[np.intp]) -> None:
        """Start in each slot the episode whose number it holds."""
        pairs = [(int(self.group_of[slot]), int(self.number_of[slot])) for slot in slots]
        for slot, pair in zip(slots, pairs, strict=True):
            if slot >= self.num_envs:
                self.control_falls[pair] = []
        scenarios = [self.run_scenario(*pair) for pair in pairs]
        self.episode.begin([int(slot) for slot in slots], scenarios, [self.run_seed(*pair) for pair in pairs])

    def observation(self) -> Observation:
        """Of the visible runs."""
        seen = self.episode.observe()
        return Observation(seen.agents[: self.num_envs], seen.mask[: self.num_envs], seen.training[: self.num_envs])

    def step(self, action: NDArray[np.floating[Any]]) -> Transition:
        """Train one interval. action: (N, K) in [-1, 1]. Runs that end are left at their end: see `next_episodes`."""
        action = np.asarray(action, np.float64)
        mask = self.episode.mask_NK
        if action.shape != (self.num_envs, mask.shape[1]):
            raise InputError(f"actions have shape {action.shape}, expected {(self.num_envs, mask.shape[1])}")
        if not np.isfinite(action).all():
            raise InputError("actions contain NaN or infinity, expected numbers in [-1, 1]: check the policy's output")
        weights = np.zeros(mask.shape)
        weights[:, 0] = 1.0
        weights[: self.num_envs] = self.action_map.weights(action, mask[: self.num_envs])
        interval_N = self.episode.interval_N.copy()
        outcome = self.episode.step(weights)
        falls = np.where(outcome.diverged_N, 0.0, outcome.fall_N)
        self._record_controls(falls, outcome)
        reward = falls[: self.num_envs].copy()
        for slot in range(self.num_envs if self.control_falls else 0):
            pair = (int(self.group_of[slot]), int(self.number_of[slot]))
            reward[slot] -= self.control_falls[pair][interval_N[slot]]
        diverged = outcome.diverged_N[: self.num_envs]
        reward[diverged] = -DIVERGENCE_PENALTY_NATS
        return Transition(reward, outcome.done_N[: self.num_envs], outcome)

    def _record_controls(self, falls: NDArray[np.float64], outcome: Outcome) -> None:
        for slot in range(self.num_envs, len(self.number_of)):
            curve = self.control_falls[int(self.group_of[slot]), int(self.number_of[slot])]
            curve.append(float(falls[slot]))
            if outcome.diverged_N[slot]:  # it stands still from here on
                curve.extend([0.0] * (self.setting.episode.num_intervals - len(curve)))

    def next_episodes(self, outcome: Outcome) -> None:
        """Begin anew in every slot that is done: the next episode, after divergence the same (a control: the next)."""
        done = np.flatnonzero(outcome.done_N)
        if not len(done):
            return
        again = outcome.diverged_N[done] & (done < self.num_envs)
        self.number_of[done[~again]] += 1
        self.begin(done)
        oldest = [self.number_of[self.group_of == group].min() for group in range(self.num_groups)]
        for group, number in list(self.control_falls):
            if number < oldest[group]:
                del self.control_falls[group, number]
