"""A toy console environment whose optimum is known, in a second of CPU time instead of minutes."""

from collections.abc import Callable
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from pretraingym.env.console.action_map import ActionMap
from pretraingym.env.observation.features import AGENT_FEATURES, TRAINING_FEATURES, bounds, column
from pretraingym.env.observation.observation import Observation
from pretraingym.policies.actors.actor_config import SetActorConfig
from pretraingym.policies.actors.set_actor import SetActor
from pretraingym.policies.base import Policy
from pretraingym.policies.baselines.rules import Agreement
from pretraingym.policies.saved.card import PolicyCard

AGENTS = ("null", "a", "b", "c", "d")
HORIZON = 4


class ToyRun:
    """One run. In each episode one agent is right, the one with the highest lift, and pays its weight; the others cost
    theirs. Weight costs more, the scarcer text is, so that the best strength is high at scarcity -2 and low at +1.
    Agreement is noise. Whoever shares (seed, group, episode) shares all random numbers."""

    def __init__(self, fails_at: tuple[int, ...] = ()) -> None:
        self.action_map, self.fails_at = ActionMap(), fails_at

    def begin(self, seed: int, group: int, episode: int) -> None:
        self.rng = np.random.default_rng([seed, group, episode])
        self.step_number, self.episode = 0, episode
        self.lift = self.rng.normal(0, 1, len(AGENTS))
        self.lift[0] = 0
        self.right = 1 + int(self.lift[1:].argmax())
        self.scarcity = self.rng.uniform(-2, 1)
        self.observe()

    def observe(self) -> None:
        agents = np.zeros((len(AGENTS), len(AGENT_FEATURES)), np.float32)
        agents[0, column(AGENT_FEATURES, "is_null")] = 1
        agents[:, column(AGENT_FEATURES, "lift_mean")] = self.lift
        agents[1:, column(AGENT_FEATURES, "agreement")] = self.rng.normal(0, 0.1, len(AGENTS) - 1)
        training = np.zeros(len(TRAINING_FEATURES), np.float32)
        training[column(TRAINING_FEATURES, "progress")] = self.step_number / HORIZON
        training[column(TRAINING_FEATURES, "scarcity")] = self.scarcity
        mask = np.ones(len(AGENTS), np.float32)
        self.seen = {"agents": agents.reshape(-1), "mask": mask, "statistics": training}

    def step(self, action: np.ndarray, slot: int) -> tuple[float, bool]:
        weights = self.action_map.weights(action[None], np.ones((1, len(AGENTS)), bool))[0]
        reward = self.gain(weights) + float(self.rng.normal(0, 0.05))
        self.step_number += 1
        self.observe()
        if self.step_number == 2 and slot in self.fails_at and self.episode == 1:
            self.fails_at = ()
            return -1.0, True
        return reward, self.step_number == HORIZON

    def gain(self, weights: np.ndarray) -> float:
        """Noiseless gain of one step. Best strength with all trust in the right agent: 1 / price, at most 1."""
        strength = 1 - weights[0]
        price = 1.25 if self.scarcity < -0.5 else 5.0
        return float(2 * weights[self.right] - strength - 0.5 * price * strength**2)

    def optimum(self) -> float:
        price = 1.25 if self.scarcity < -0.5 else 5.0
        return 0.5 / price


def toy_spaces() -> tuple[gym.spaces.Dict, gym.spaces.Box]:
    low, high = bounds(AGENT_FEATURES)
    shape = (len(AGENTS),)
    observation = gym.spaces.Dict(
        {
            "agents": gym.spaces.Box(np.tile(low, len(AGENTS)), np.tile(high, len(AGENTS))),
            "mask": gym.spaces.Box(0.0, 1.0, shape, np.float32),
            "statistics": gym.spaces.Box(*bounds(TRAINING_FEATURES)),
        }
    )
    return observation, gym.spaces.Box(-1.0, 1.0, shape, np.float32)


class ToyVectorEnv(VectorEnv):
    """The contract of ConsoleVectorEnv. `fails_at`: slots whose run ends after two steps in episode 1, once."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}
    render_mode = None
    agent_names, horizon = AGENTS, HORIZON

    def __init__(self, num_envs: int = 8, group_size: int = 4, fails_at: tuple[int, ...] = ()) -> None:
        self.num_envs, self.group_size, self.action_map = num_envs, group_size, ActionMap()
        self.single_observation_space, self.single_action_space = toy_spaces()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.runs = [ToyRun(fails_at) for _ in range(num_envs)]
        self.base_seed, self.resets, self.num_steps = 0, [], 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:  # type: ignore[override]
        self.base_seed = self.base_seed if seed is None else seed
        self.resets.append((seed, dict(options or {})))
        for slot, run in enumerate(self.runs):
            run.begin(self.base_seed, slot // self.group_size, (options or {}).get("episode", 0))
        return self._seen(), {"kind": np.array(["toy"] * self.num_envs), "_kind": np.ones(self.num_envs, bool)}

    def step(self, actions: np.ndarray) -> Any:
        self.num_steps += 1
        results = [run.step(action, slot) for slot, (run, action) in enumerate(zip(self.runs, actions, strict=True))]
        rewards, done = np.array([reward for reward, _ in results]), np.array([end for _, end in results])
        info: dict[str, Any] = {}
        if done.any():
            for slot in np.flatnonzero(done):
                run = self.runs[slot]
                info = self._add_info(info, {"final_obs": run.seen, "final_info": {"kind": "end"}}, slot)
                again = run.step_number < HORIZON  # a run that failed repeats its episode
                run.begin(self.base_seed, slot // self.group_size, run.episode + (0 if again else 1))
        return self._seen(), rewards, done, np.zeros(self.num_envs, bool), info

    def _seen(self) -> dict[str, np.ndarray]:
        return {key: np.stack([run.seen[key] for run in self.runs]) for key in self.runs[0].seen}


class ToyEnv(gym.Env):
    """The N = 1 view: slot `slot` of a ToyVectorEnv, for comparison with DummyVecEnv."""

    def __init__(self, seed: int, group: int) -> None:
        self.observation_space, self.action_space = toy_spaces()
        self.base_seed, self.group, self.episode, self.run = seed, group, -1, ToyRun()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.episode += 1
        self.run.begin(self.base_seed, self.group, self.episode)
        return self.run.seen, {"kind": "toy"}

    def step(self, action: np.ndarray) -> Any:
        reward, done = self.run.step(action, slot=0)
        return self.run.seen, reward, done, False, {}


@pytest.fixture
def toy() -> Callable[..., ToyVectorEnv]:
    """Makes toy vector environments."""
    return ToyVectorEnv


@pytest.fixture
def toy_single() -> Callable[[int, int], ToyEnv]:
    """Makes toy environments of one run: (seed, group)."""
    return ToyEnv


@pytest.fixture
def toy_actor() -> SetActor:
    """A linear actor of seven parameters that starts as a clone of the agreement rule."""
    config = SetActorConfig(
        trust=("lift_mean", "agreement", "ridge"), strength=("progress", "scarcity", "max.lift_mean")
    )
    actor = SetActor(config, ActionMap())
    actor.clone(Agreement(0.1, 0.25))
    return actor


def gain_on_toy(policy: Policy, num_runs: int = 128) -> float:
    """Mean noiseless gain of an episode over runs that no backend saw; the optimum is about 1.05."""
    env = ToyVectorEnv(num_runs, 1)
    env.reset(seed=777)
    policy.reset(AGENTS, num_runs)
    total = 0.0
    for _ in range(HORIZON):
        weights = policy.act(Observation.of_batch(env._seen()))
        total += sum(run.gain(row) for run, row in zip(env.runs, weights, strict=True))
        env.step(np.zeros((num_runs, len(AGENTS)), np.float32))
    return total / num_runs


@pytest.fixture
def toy_gain() -> Callable[[Policy], float]:
    """Scores a policy: see `gain_on_toy`."""
    return gain_on_toy


@pytest.fixture
def card() -> PolicyCard:
    """The card of a policy learned on the toy."""
    return PolicyCard("cma-es", AGENTS, "a toy", "none", "pytest", {"numpy": np.__version__}, {})
