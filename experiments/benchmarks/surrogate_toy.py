"""Whether learning shows on `PretrainGym/Surrogate-v2` as it is made without arguments: constants, rules and learners.

    python -m pretraingym.experiments.benchmarks.surrogate_toy

Gains over natural in nats per token, which are the returns that the environment gives: means and standard errors over
`episodes` scenarios of the development split, the same for all. Constants and learners were found on the train split.
The last line is one JSON object with the table and the learners' curves. About six minutes of one core.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import process_time
from typing import Any

import numpy as np
import tyro
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback

from ...env.console.weights import natural_weights
from ...env.episode import Episode, run_episode
from ...env.gym_envs.surrogate_envs import SurrogateVectorEnv
from ...env.observation.observation import Observation
from ...env.scenarios.distribution import ScenarioDistribution
from ...env.scenarios.task import Task
from ...env.settings.surrogate_setting import SurrogateSetting
from ...env.settings.toy_setting import TOY_SCENARIOS, ToySetting
from ...lm.cores import torch_threads
from ...policies.registry import make_policy
from ...policies.sb3.vec_env import SB3ConsoleVecEnv
from ..analysis.statistics import mean_and_error
from ..evaluation.optimum import Choose, constant, search_simplex

Array = NDArray[np.float64]
RULES = ("agreement", "lift", "lift:strength=0.8,evidence=0", "ten-tasks")


@dataclass(frozen=True)
class SurrogateToyConfig:
    """What is tried, and on how many episodes."""

    episodes: int = 200
    """that policies are scored on, of the development split"""
    search_episodes: int = 24
    """that the search for constant weights takes means over, of the train split"""
    learners: int = 2
    """PPO runs, each from another seed"""
    learn_steps: int = 60_000
    """steps that each of them learns for, six an episode"""
    num_envs: int = 32
    """runs side by side in PPO"""


@torch_threads(1)  # the networks are tiny: more threads would only wait for each other
def measure(config: SurrogateToyConfig) -> dict[str, Any]:
    """The table by policy, and the learners' curves and time."""
    setting = ToySetting()
    task = setting.open_task()
    learners: dict[str, dict[str, Any]] = {}
    policies = constants(task, setting) | rules(task, config.episodes)
    policies["best constant"] = constant(best_constant(task, setting, config.search_episodes))
    for seed in range(config.learners):
        name, begun_s = f"PPO, seed {seed}", process_time()
        policies[name], curve = learned(config, seed)
        learners[name] = {"curve": curve, "cpu_s": round(process_time() - begun_s, 1)}
    gains = episode_gains(task, setting, replace(TOY_SCENARIOS, split="development"), policies, config.episodes)
    return {"table": table(gains), "learners": learners}


def constants(task: Task, setting: SurrogateSetting) -> dict[str, Choose]:
    """Natural, action 0, even weights, and each agent alone at half strength."""
    eye, actions = np.eye(len(task.agent_names)), setting.episode.action_map
    found = {"natural": eye[0], "even weights": np.append(0.0, np.full(len(eye) - 1, 1 / (len(eye) - 1)))}
    found |= {f"half {name}": (eye[0] + own_K) / 2 for name, own_K in zip(task.agent_names[1:], eye[1:], strict=True)}
    found["action 0"] = actions.weights(np.zeros((1, len(eye))), np.ones((1, len(eye)), bool))[0]
    return {name: constant(weights_K) for name, weights_K in found.items()}


def best_constant(task: Task, setting: SurrogateSetting, episodes: int) -> Array:
    """The constant weights (K,) that a search found to be the best over the first `episodes` train scenarios."""

    def losses(weights_NK: Array) -> Array:
        each = [
            last_losses(task, setting, TOY_SCENARIOS, [number] * len(weights_NK), lambda _: weights_NK)
            for number in range(episodes)
        ]
        return np.mean(each, 0)

    return search_simplex(losses, len(task.agent_names), rounds=2)[0]


def rules(task: Task, num_runs: int) -> dict[str, Choose]:
    """The hand-written rules and the shipped policy."""
    policies = {name: make_policy(name) for name in RULES}
    for policy in policies.values():
        policy.reset(task.agent_names, num_runs)
    return {name: policy.act for name, policy in policies.items()}


def learned(config: SurrogateToyConfig, seed: int) -> tuple[Choose, list[float]]:
    """What Stable-Baselines3's PPO learns with its own network and settings (but for the length of a rollout: ten
    episodes of every run), and the mean return of each tenth of its episodes."""
    env = SurrogateVectorEnv(config.num_envs, autoreset_mode="SameStep")
    model = PPO("MultiInputPolicy", SB3ConsoleVecEnv(env), n_steps=10 * env.horizon, seed=seed, device="cpu")
    log = _Rewards()
    model.learn(config.learn_steps, log)
    episodes = len(log.rewards) // (10 * env.horizon)  # of each run in a tenth
    rewards = np.array(log.rewards, np.float64)[: 10 * episodes * env.horizon]
    curve = rewards.reshape(10, episodes, env.horizon, -1).sum(2).mean((1, 2))

    def choose(seen: Observation) -> Array:
        action, _ = model.predict(seen.as_batch(), deterministic=True)
        return env.action_map.weights(action, seen.mask)

    return choose, curve.round(3).tolist()


class _Rewards(BaseCallback):
    """Keeps the rewards of every step."""

    def __init__(self) -> None:
        super().__init__()
        self.rewards: list[NDArray[np.float32]] = []

    def _on_step(self) -> bool:
        self.rewards.append(self.locals["rewards"].copy())
        return True


def episode_gains(
    task: Task,
    setting: SurrogateSetting,
    distribution: ScenarioDistribution,
    policies: Mapping[str, Choose],
    episodes: int,
) -> dict[str, Array]:
    """By policy, what each of `episodes` scenarios' run gained over natural (episodes,), nats per token as measured."""

    def losses(choose: Choose) -> Array:
        return last_losses(task, setting, distribution, list(range(episodes)), choose)

    natural = losses(lambda seen: natural_weights(*seen.mask.shape))
    return {name: natural - losses(choose) for name, choose in policies.items()}


def last_losses(
    task: Task, setting: SurrogateSetting, distribution: ScenarioDistribution, numbers: list[int], choose: Choose
) -> Array:
    """The last measured validation loss of N runs, one on each of these scenarios, (N,) nats per token."""
    scenarios, seeds = zip(*(distribution.numbered(task, 0, number) for number in numbers), strict=True)
    episode = Episode(task, setting.backend(task, len(numbers)), setting.episode)
    episode.enter(list(range(len(numbers))), list(scenarios), list(seeds))
    losses: list[Array] = []
    run_episode(
        episode, lambda episode: choose(episode.observe()), on_interval=lambda interval: losses.append(interval.loss_N)
    )
    return losses[-1]


def table(gains: Mapping[str, Array]) -> dict[str, dict[str, float]]:
    """Mean gain of each policy with its standard error, and what it is over action 0 and over the best constant, paired
    by scenario."""
    rows = {}
    for name, gain_N in gains.items():
        row = dict(zip(("gain", "error"), mean_and_error(gain_N), strict=True))
        for other in ("action 0", "best constant"):
            mean, error = mean_and_error(gain_N - gains[other])
            row |= {f"over {other}": mean, f"error over {other}": error}
        rows[name] = {key: round(value, 4) for key, value in row.items()}
    return rows


if __name__ == "__main__":
    figures = measure(tyro.cli(SurrogateToyConfig, description=__doc__))
    for name, row in figures["table"].items():
        parts = [f"{value:+.3f}" if "error" not in key else f"+- {value:.3f}" for key, value in row.items()]
        print(f"{name:20}", *parts)
    for name, learner in figures["learners"].items():
        print(f"{name:20} by tenths of {learner['cpu_s']} s:", *(f"{mean:+.2f}" for mean in learner["curve"]))
    print(json.dumps(figures))
