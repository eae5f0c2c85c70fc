"""Learning a set actor in the environment with the algorithm of one's choice."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.vec_env import VecEnv

from ...env.console.action_map import ActionMap
from ...lm.io.errors import InputError
from ..actors.actor import Actor
from ..actors.actor_config import SetActorConfig
from ..actors.gain_actor import GainActor, GainConfig
from ..actors.schedule_actor import ScheduleActor, ScheduleConfig
from ..actors.set_actor import SetActor
from ..base import Policy
from ..baselines.constant import family
from ..baselines.rules import Agreement, Lift
from ..saved.learned import LearnedPolicy
from ..saved.ranges import FeatureRanges
from ..sb3.journal import JournalVecEnv
from ..sb3.vec_env import SB3ConsoleVecEnv
from .cma_es import CMAES
from .off_policy import make_off_policy
from .ppo import make_ppo
from .regmix import RegMix
from .regression import GainRegression
from .response import ResponseSurface

HIDDEN = 16  # of the residual networks that gradients can learn
# First step of CMA-ES, small because its start is good and six noisy generations are mostly a random walk: with .25,
# two runs that differed in rounding alone gained .286 and .171 nats on the same targets (the start: .281).
SIGMA = 0.1
# Of searched weights and schedules, which start from even shares: in log-odds (assumed).
BLIND_SIGMA = 0.7
Start = Agreement | Lift | LearnedPolicy  # what learning may start from
LINEAR = "cma-es", "response"  # learners of few coefficients
FROM_A_START = *LINEAR, "ppo", "sac", "tqc"  # the others begin at nothing
KNOTS = 3  # of a schedule: begin, middle and end


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


def as_start(policy: Policy) -> Start:
    """That policy. InputError: one that learning cannot start from."""
    if isinstance(policy, Agreement | Lift) or (
        isinstance(policy, LearnedPolicy) and isinstance(policy.actor, SetActor)
    ):
        return policy
    raise InputError(
        f"start is '{policy.name}', expected agreement, lift or a policy that was learned from one of them"
    )


def start_actor(algorithm: str, action_map: ActionMap, agents: tuple[str, ...], start: Start | None = None) -> Actor:
    """The actor that learning starts from.

    A clone of the rule `start` (default: lift) or of what a learned policy knows, linear for "cma-es" and "response",
    with a residual network for "ppo", "sac" and "tqc"; from agreement PPO ended lower (results/learners.md).
    For "regression" one that expects nothing of any weights; for "best-static", "regmix" and "schedule" even weights
    of these agents' families. InputError: a policy learned with another action map."""
    if algorithm == "regression":
        return GainActor(GainConfig(), action_map)
    if algorithm in ("best-static", "regmix", "schedule"):
        families = tuple(sorted({family(agent) for agent in agents[1:]}))
        blind = ScheduleActor(ScheduleConfig(families, KNOTS if algorithm == "schedule" else 1), action_map)
        blind.bind(agents)
        return blind
    config = start.actor.config if isinstance(start, LearnedPolicy) else SetActorConfig()
    actor = SetActor(replace(config, hidden=config.hidden or (0 if algorithm in LINEAR else HIDDEN)), action_map)
    if isinstance(start, LearnedPolicy):
        if start.actor.action_map != action_map:
            raise InputError(f"'{start.name}' was learned with {start.actor.action_map}, expected {action_map}: set it")
        actor.load_state_dict(start.actor.state_dict(), strict=False)  # a network that only `actor` has starts at zero
    else:
        actor.clone(start or Lift())
    return actor


def make_learner(algorithm: str, venv: VecEnv, actor: Actor, seed: int) -> BaseAlgorithm:
    """The Stable-Baselines3 algorithm of that name, from card.ALGORITHMS."""
    if algorithm == "ppo":
        return make_ppo(venv, actor, seed=seed)
    if algorithm in ("sac", "tqc"):
        return make_off_policy(algorithm, venv, actor, seed=seed)
    if algorithm == "regression":
        return GainRegression(venv, actor, seed)
    if algorithm == "regmix":
        return RegMix(venv, actor, seed)
    if algorithm == "response":
        return ResponseSurface(venv, actor, seed)
    return CMAES(venv, actor, SIGMA if algorithm == "cma-es" else BLIND_SIGMA, seed)


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
    range of every feature it read. algorithm: one of card.ALGORITHMS; start: `start_actor`'s; the callbacks are
    `UpdateLog`'s."""
    action_map: ActionMap = env.action_map  # type: ignore[attr-defined]
    venv = JournalVecEnv(SB3ConsoleVecEnv(env), journal)
    agents: tuple[str, ...] = env.agent_names  # type: ignore[attr-defined]
    actor = start_actor(algorithm, action_map, agents, start)
    ranges, model = FeatureRanges(actor), make_learner(algorithm, venv, actor, seed)
    horizon: int = env.horizon  # type: ignore[attr-defined]
    log = UpdateLog(horizon, on_update, on_interval)
    model.learn(rounds * horizon * env.num_envs, CallbackList([log, ranges]))
    return learned_actor(model), ranges.ranges


def learned_actor(model: BaseAlgorithm) -> Actor:
    """The console's actor in what `make_learner` gave."""
    own: Any = model.policy.actor
    actor: Actor = own if isinstance(own, Actor) else own.console
    return actor
