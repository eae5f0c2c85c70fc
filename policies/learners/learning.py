"""Learning an actor in the environment with the algorithm of one's choice."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, CallbackList

from ...env.console.action_map import ActionMap
from ..actors.actor import Actor
from ..saved.ranges import FeatureRanges
from ..sb3.journal import JournalVecEnv
from ..sb3.vec_env import SB3ConsoleVecEnv
from .start import Start
from .table import learner_named


class UpdateLog(BaseCallback):
    """After each round of episodes tells `on_update` how many there were and what they returned, in nats over the
    control: the round's mean, and the best episode's so far. After each step tells `on_interval` how many episodes
    were done, with parts of them."""

    def __init__(
        self, horizon: int, on_update: Callable[[dict[str, float]], None], on_interval: Callable[[float], None]
    ) -> None:
        super().__init__()
        self.horizon, self.on_update, self.on_interval = horizon, on_update, on_interval
        self._returns, self._rounds, self._best = np.zeros(1), 0, -float("inf")
        self._ended = np.zeros(1, bool)

    def _on_rollout_start(self) -> None:
        self._returns, self._ended = np.zeros(self.training_env.num_envs), np.zeros(self.training_env.num_envs, bool)

    def _on_step(self) -> bool:
        self._returns += np.where(self._ended, 0.0, self.locals["rewards"])
        self._ended |= self.locals["dones"]  # what a slot begins before the others end does not count
        self.on_interval(self.model.num_timesteps / self.horizon)
        return True

    def _on_rollout_end(self) -> None:
        self._rounds += 1
        self._best = max(self._best, float(self._returns.max()))
        row = {"update": self._rounds, "episodes": self._rounds * self.training_env.num_envs}
        self.on_update(row | {"return_mean": float(self._returns.mean()), "return_best": self._best})


def learn(
    algorithm: str,
    env: VectorEnv,
    rounds: int,
    seed: int,
    journal: Path,
    on_update: Callable[[dict[str, float]], None],
    on_interval: Callable[[float], None],
    start: Start | None = None,
) -> tuple[Actor, dict[str, tuple[float, float]]]:
    """`rounds` times one episode of every slot; goes on from `journal` if that holds some. Returns the actor and the
    range of every feature it read. algorithm: a learner of table.py; start: `Learner.start_actor`'s; the callbacks are
    `UpdateLog`'s. All random numbers are functions of the seed, so that a run can go on. InputError: an unknown
    learner."""
    learner = learner_named(algorithm)
    action_map: ActionMap = env.action_map  # type: ignore[attr-defined]
    venv = JournalVecEnv(SB3ConsoleVecEnv(env), journal)
    agents: tuple[str, ...] = env.agent_names  # type: ignore[attr-defined]
    actor = learner.start_actor(action_map, agents, seed, start)
    ranges, model = FeatureRanges(actor), learner.make_algorithm(venv, actor, seed=seed)
    horizon: int = env.horizon  # type: ignore[attr-defined]
    log = UpdateLog(horizon, on_update, on_interval)
    model.learn(rounds * horizon * env.num_envs, CallbackList([log, ranges]))
    return learned_actor(model), ranges.ranges


def learned_actor(model: BaseAlgorithm) -> Actor:
    """The console's actor in what `Learner.make_algorithm` made."""
    own: Any = model.policy.actor
    actor: Actor = own if isinstance(own, Actor) else own.console
    return actor
