"""Learning a set actor in the environment with the algorithm of one's choice."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from gymnasium.vector import VectorEnv
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, CallbackList

from ..env.action import ActionMap
from .actor_config import SetActorConfig
from .evolution import CMAES
from .journal import JournalVecEnv
from .ppo import make_ppo
from .ranges import FeatureRanges
from .rules import Lift
from .sb3 import SB3ConsoleVecEnv
from .set_actor import SetActor

PPO_HIDDEN = 16
# First step of CMA-ES, small because its start is good and six noisy generations are mostly a random walk: with .25,
# two runs that differed in rounding alone gained .286 and .171 nats on the same targets (the start: .281).
SIGMA = 0.1


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

    def _on_rollout_start(self) -> None:
        self._returns = np.zeros(self.training_env.num_envs)

    def _on_step(self) -> bool:
        self._returns += self.locals["rewards"]
        self.on_interval(self.model.num_timesteps / self.horizon)
        return True

    def _on_rollout_end(self) -> None:
        self._rounds += 1
        self._best = max(self._best, float(self._returns.max()))
        row = {"update": self._rounds, "episodes": self._rounds * self.training_env.num_envs}
        self.on_update(row | {"return_mean": float(self._returns.mean()), "return_best": self._best})


def start_actor(algorithm: str, action_map: ActionMap) -> SetActor:
    """The actor that learning starts from, a clone of the lift rule: for "ppo" with a residual network, for "cma-es"
    linear. From the agreement rule instead, PPO ended lower (experiments/results/learners.md)."""
    actor = SetActor(SetActorConfig(hidden=PPO_HIDDEN if algorithm == "ppo" else 0), action_map)
    actor.clone(Lift())
    return actor


def learn(
    algorithm: str,
    env: VectorEnv,
    rounds: int,
    seed: int,
    journal: Path,
    on_update: Callable[[dict[str, float]], None],
    on_interval: Callable[[float], None],
) -> tuple[SetActor, dict[str, tuple[float, float]]]:
    """`rounds` times one episode of every slot; goes on from `journal` if that holds some. Returns the actor and the
    range of every feature it read. algorithm: "cma-es" or "ppo"; the callbacks are `UpdateLog`'s."""
    action_map: ActionMap = env.action_map  # type: ignore[attr-defined]
    venv = JournalVecEnv(SB3ConsoleVecEnv(env), journal)
    actor = start_actor(algorithm, action_map)
    model: BaseAlgorithm = make_ppo(venv, actor, seed=seed) if algorithm == "ppo" else CMAES(venv, actor, SIGMA, seed)
    ranges = FeatureRanges(actor.config)
    horizon: int = env.horizon  # type: ignore[attr-defined]
    log = UpdateLog(horizon, on_update, on_interval)
    model.learn(rounds * horizon * env.num_envs, CallbackList([log, ranges]))
    return model.policy.actor, ranges.ranges  # type: ignore[return-value]
