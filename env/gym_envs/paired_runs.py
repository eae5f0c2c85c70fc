"""The runs behind both environments: visible ones, their hidden controls, seeds and rewards."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from ...lm.io.errors import InputError
from ...lm.io.state import State, json_as_array, json_in_array, nested, under
from ...lm.io.typed_json import to_json
from ..console.action_map import ActionMap
from ..console.weights import natural_weights
from ..episode import Episode, Interval
from ..observation.features import AGENT_FEATURES, TRAINING_FEATURES
from ..observation.observation import Observation
from ..recording.config_record import ConfigRecord
from ..recording.record_file import RecordFile
from ..recording.recorder import NOTHING_RECORDED, Recorder
from ..scenarios.distribution import ScenarioDistribution
from ..scenarios.scenario import Scenario
from ..scenarios.task import Task
from ..settings.setting import EpisodeSetting
from .controls import Controls

REWARDS = ("paired", "raw")
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Transition:
    """One step of N runs: rewards (N,) nats, and which runs ended in it, (N,)."""

    reward_N: NDArray[np.float64]
    terminated_N: Bools


class PairedRuns:
    """N visible runs in groups of `group_size` that share scenario, initial weights and random numbers, and, for
    reward "paired", one hidden control a group: the twin under natural, whose fall of the loss is subtracted.

    Episode e of group g under base seed s is the same run whatever N. A run that diverged repeats its episode; the
    others of its group go on, and it follows them one episode behind. When the next episode begins is `autoreset_mode`:
    in the step that ends one (SAME_STEP; call `begin_next`), in the step after, which takes no action (NEXT_STEP),
    or when `begin_next` says so (DISABLED). Every episode that ends, a control's too, is appended to `records`.
    """

    def __init__(
        self,
        task: Task,
        setting: EpisodeSetting,
        num_envs: int,
        group_size: int,
        reward: str,
        distribution: ScenarioDistribution,
        autoreset_mode: AutoresetMode,
        records: Path | None = None,
    ) -> None:
        if reward not in REWARDS:
            raise InputError(f"reward is '{reward}', expected one of {', '.join(REWARDS)}")
        for name, number in (("num_envs", num_envs), ("group_size", group_size)):
            if isinstance(number, bool) or not isinstance(number, int | np.integer):
                raise InputError(f"{name} is {number!r}, expected a whole number")
        num_envs, group_size = int(num_envs), int(group_size)
        if num_envs < 1:
            raise InputError(f"num_envs is {num_envs}, expected at least 1")
        if group_size < 1 or num_envs % group_size:
            raise InputError(f"num_envs {num_envs} is not a multiple of group_size {group_size}: give whole groups")
        self.num_envs, self.group_size, self.distribution, self.reward = num_envs, group_size, distribution, reward
        self.num_groups, self.autoreset_mode = num_envs // group_size, autoreset_mode
        distribution.reference_tasks(task)  # which refuses those that the corpus does not have
        num_controls = self.num_groups if reward == "paired" else 0
        self.task, self.setting, self.records = task, setting, records
        file = None if records is None else RecordFile(records, ConfigRecord.of(task, setting))
        self.recorder = None if file is None else Recorder(task, file.append)
        self.episode = Episode(task, setting.backend(task, num_envs + num_controls), setting.episode)
        self.group_of = np.repeat(np.arange(self.num_groups), group_size)  # of the visible slots
        self.number_of = np.zeros(num_envs, np.int64)  # of the episode each visible slot is in
        self.diverged = np.zeros(num_envs, bool)  # whether that ended by divergence
        self.controls = Controls(num_controls, num_envs, setting.episode.num_intervals)
        self.given_seeds: dict[tuple[int, int], int] = {}  # by (group, number), where reset named them
        self.scenario: Scenario | None = None  # the same for all runs, if set at reset
        self.base_seed: int | tuple[int, ...] | None = None  # None until the first reset; one a group

    @property
    def action_map(self) -> ActionMap:
        return self.setting.episode.action_map

    @property
    def observation_shapes(self) -> dict[str, tuple[int, ...]]:
        num_agents = len(self.task.agent_names)
        agents = (num_agents, len(AGENT_FEATURES))
        return {"agents": agents, "mask": (num_agents,), "statistics": (len(TRAINING_FEATURES),)}

    @property
    def next_number(self) -> int:
        """Number of the episode that a reset without `seed` and `episode` begins."""
        return 0 if self.base_seed is None else int(self.number_of.max()) + 1

    @property
    def done_N(self) -> Bools:
        """Visible slots whose episode is over (before the first reset: all)."""
        return self.episode.done_N[: self.num_envs]

    @property
    def run_seed_N(self) -> NDArray[np.int64]:
        """Run seed of each visible slot's present episode."""
        return self.episode.seed_N[: self.num_envs].copy()

    @property
    def gain_N(self) -> NDArray[np.float64]:
        """Nats that each visible run has gained in its episode so far, over its control if it has one."""
        gain_N = self.episode.fall_N[: self.num_envs].copy()
        return gain_N - self.controls.total_falls(self.group_of, self.number_of, self.episode.interval_N)

    def run_seed(self, group: int, number: int) -> int:
        """Seed of episode `number` of `group`: the splits never share one, but for those that reset named. Under a base
        seed of its own a group is as the only one."""
        assert self.base_seed is not None, "reset comes first"
        if (group, number) in self.given_seeds:
            return self.given_seeds[group, number]
        if isinstance(self.base_seed, int):
            return self.distribution.run_seed(self.base_seed, group, number)
        return self.distribution.run_seed(self.base_seed[group], 0, number)

    def run_scenario(self, group: int, number: int) -> Scenario:
        if self.scenario is not None:
            return self.scenario
        return self.distribution.sample(self.task, self.run_seed(group, number))

    def reset(
        self,
        seed: int | tuple[int, ...],
        number: int,
        scenario: Scenario | None,
        run_seeds: NDArray[np.int64] | None = None,
    ) -> None:
        """Start episode `number` of every group. seed: of all, or one a group; run_seeds: (G,), else they follow from
        `seed`."""
        self.base_seed, self.scenario = seed, scenario
        named: Any = () if run_seeds is None else run_seeds
        self.given_seeds = {(group, number): int(run_seed) for group, run_seed in enumerate(named)}
        self.number_of[:], self.diverged[:] = number, False
        self.controls.clear()
        self._begin(np.ones(self.num_envs, bool))

    def begin_next(self, slots_N: Bools) -> None:
        """Start the next episode in those visible slots, after divergence the same again."""
        if not slots_N.any():
            return
        self.number_of[slots_N & ~self.diverged] += 1
        self.diverged[slots_N] = False
        self._begin(slots_N)
        oldest = [int(self.number_of[self.group_of == group].min()) for group in range(self.num_groups)]
        self.controls.forget(oldest)
        self.given_seeds = {pair: seed for pair, seed in self.given_seeds.items() if pair[1] >= oldest[pair[0]]}

    def _begin(self, slots_N: Bools) -> None:
        """Start in each of those slots the episode whose number it holds, and in their controls, if none has yet."""
        slots = np.flatnonzero(slots_N)
        pairs = [(int(self.group_of[slot]), int(self.number_of[slot])) for slot in slots]
        new = self.controls.missing(pairs)
        lagging = [group for group, number in new if (self.number_of[self.group_of == group] < number).any()]
        while (late := self.controls.unfinished(lagging)).any():  # other slots have still to be paired with these
            self.controls.record(self._train(self._natural(), self._with_controls(late)), late)
        self.controls.begin(new)
        every = [*map(int, slots), *(self.num_envs + group for group, _ in new)]
        pairs = [*pairs, *new]
        runs = {pair: (self.run_seed(*pair), self.run_scenario(*pair)) for pair in dict.fromkeys(pairs)}
        seeds, scenarios = [runs[pair][0] for pair in pairs], [runs[pair][1] for pair in pairs]
        if self.recorder is not None:
            self.recorder.begin(every, pairs, scenarios, seeds, self.num_envs)
        self._train(None, self.episode.enter(every, scenarios, seeds))

    def _train(
        self, weights: NDArray[np.float64] | None, active: Bools, actions: NDArray[np.float64] | None = None
    ) -> Interval:
        interval = self.episode.run_interval(weights, active)
        if self.recorder is not None:
            self.recorder.add(interval, actions)
        return interval

    def observation(self) -> Observation:
        """What the policies of the visible runs see."""
        return self.episode.observe().runs(slice(self.num_envs))

    def step(self, action: NDArray[np.floating[Any]]) -> Transition:
        """Train one interval. action: (N, K) in [-1, 1]. Runs that end are left at their end."""
        action, done_N = self._checked(action), self.done_N
        weights = self._natural()
        weights[: self.num_envs] = self.action_map.weights(action, self.episode.mask_NK[: self.num_envs])
        number_N = self.episode.interval_N[: self.num_envs].copy()
        control_N = self.controls.needed(self.group_of, self.number_of, number_N, ~done_N)
        interval = self._train(weights, np.concatenate([~done_N, control_N]), action)
        self.controls.record(interval, control_N)
        control_fall_N = self.controls.falls(self.group_of, self.number_of, number_N, ~done_N)
        reward_N = interval.reward_N(control_fall_N, ~done_N)
        terminated_N = interval.done_N[: self.num_envs] & ~done_N
        self.diverged |= interval.diverged_N[: self.num_envs]
        if self.autoreset_mode == AutoresetMode.NEXT_STEP:
            self.begin_next(done_N)
        return Transition(reward_N, terminated_N)

    def _checked(self, action: Any) -> NDArray[np.float64]:
        action, shape = as_actions(action), (self.num_envs, self.episode.mask_NK.shape[1])
        if action.shape != shape:
            raise InputError(f"actions have shape {action.shape}, expected {shape}")
        if self.base_seed is None:
            raise InputError("step before the first reset: call reset")
        done = np.flatnonzero(self.done_N).tolist()
        if done and self.autoreset_mode != AutoresetMode.NEXT_STEP:
            raise InputError(
                f"the episode of slots {done} is over, and autoreset_mode is {self.autoreset_mode.value}: reset them "
                "before the next step, a vector's with options={'reset_mask': ...}"
            )
        if not np.isfinite(action).all():
            raise InputError("actions contain NaN or infinity, expected numbers in [-1, 1]: check the policy's output")
        return action.astype(np.float64)

    def state_dict(self) -> State:
        """All that the coming steps depend on; `arguments` tells which environments it fits."""
        scenario = None if self.scenario is None else self.scenario.as_json()
        given = [[*pair, seed] for pair, seed in self.given_seeds.items()]
        own: State = {
            "arguments": json_as_array(self._arguments()),
            "scenario": json_as_array(scenario),
            "base_seed": json_as_array(self.base_seed),
            "number": self.number_of.copy(),
            "diverged": self.diverged.copy(),
            "given_seeds": np.array(given, np.int64).reshape(-1, 3),  # group, number, seed
        }
        return (
            own
            | nested("controls", self.controls.state_dict())
            | nested("records", NOTHING_RECORDED if self.recorder is None else self.recorder.state_dict())
            | nested("episode", self.episode.state_dict())
            | nested("backend", self.episode.backend.state_dict())
        )

    def load_state_dict(self, state: State) -> None:
        """Go on exactly where `state_dict` was taken, of an environment with the same arguments."""
        scenario = json_in_array(state["scenario"])
        self.scenario = None if scenario is None else Scenario.from_json(scenario)
        base_seed = json_in_array(state["base_seed"])
        self.base_seed = tuple(base_seed) if isinstance(base_seed, list) else base_seed
        self.number_of, self.diverged = state["number"].copy(), state["diverged"].copy()
        self.given_seeds = {(group, number): seed for group, number, seed in state["given_seeds"].tolist()}
        self.controls.load_state_dict(under("controls", state))
        if self.recorder is not None:
            self.recorder.load_state_dict(under("records", state))
        self.episode.load_state_dict(under("episode", state))
        self.episode.backend.load_state_dict(under("backend", state))

    def _arguments(self) -> dict[str, Any]:
        """As JSON; the setting, which may be of any class, as it prints itself."""
        return {
            "num_envs": self.num_envs,
            "group_size": self.group_size,
            "reward": self.reward,
            "autoreset_mode": self.autoreset_mode.value,
            "distribution": to_json(self.distribution),
            "setting": repr(self.setting),
            "corpus": self.task.corpus.fingerprint,
        }

    def _natural(self) -> NDArray[np.float64]:
        return natural_weights(*self.episode.mask_NK.shape)

    def _with_controls(self, controls_G: Bools) -> Bools:
        return np.concatenate([np.zeros(self.num_envs, bool), controls_G])


def as_actions(action: Any) -> NDArray[Any]:
    """What was given as an array of real numbers. InputError: it is none."""
    try:
        array = np.asarray(action)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"actions are {type(action).__name__}, expected an array of numbers ({error})") from None
    if array.dtype.kind not in "fiu":
        raise InputError(f"actions are {array.dtype}, expected real numbers in [-1, 1]")
    return array
