"""The learners by name, a row each: to add one, write its file and its row."""

from dataclasses import dataclass
from functools import partial
from typing import Protocol

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from ...env.console.action_map import ActionMap
from ...lm.io.errors import InputError
from ...lm.io.files import nearest
from ..actors.actor import Actor
from ..actors.gain_actor import GainActor, GainConfig
from ..baselines.rules import Lift
from . import cma_es, open_loop
from .cma_es import CMAES
from .d_optimal import DOptimal
from .off_policy import make_sac, make_tqc
from .open_loop import KNOTS, even_weights
from .ppo import make_ppo
from .regmix import RegMix
from .regression import GainRegression
from .response import ResponseSurface
from .start import Start, set_actor_from

HIDDEN = 16  # units of the residual networks that gradients learn


class MakeActor(Protocol):
    def __call__(self, action_map: ActionMap, agents: tuple[str, ...], seed: int, start: Start) -> Actor: ...


class MakeAlgorithm(Protocol):
    def __call__(self, env: VecEnv, actor: Actor, *, seed: int) -> BaseAlgorithm: ...


@dataclass(frozen=True)
class Learner:
    """One way to learn a policy.

    about: a few words for the command's help; takes_start: whether its actor begins as the rule or policy that it is
    given, or knows nothing; make_actor: the actor that learning begins with; make_algorithm: the Stable-Baselines3
    algorithm, which changes a copy of that actor."""

    name: str
    about: str
    takes_start: bool
    make_actor: MakeActor
    make_algorithm: MakeAlgorithm

    def start_actor(
        self, action_map: ActionMap, agents: tuple[str, ...], seed: int, start: Start | None = None
    ) -> Actor:
        """The actor that learning begins with, from `start` (default: lift) if the learner takes one. Its random
        weights are functions of the seed. InputError: a policy learned with another action map."""
        return self.make_actor(action_map, agents, seed, start or Lift())


def _set_actor(hidden: int) -> MakeActor:
    return lambda action_map, agents, seed, start: set_actor_from(start, action_map, hidden, seed)


def _no_gain(action_map: ActionMap, agents: tuple[str, ...], seed: int, start: Start) -> Actor:
    return GainActor(GainConfig(), action_map)


def _even_weights(knots: int) -> MakeActor:
    return lambda action_map, agents, seed, start: even_weights(action_map, agents, knots)


_search = partial(CMAES, sigma0=cma_es.SIGMA)
_open_loop_search = partial(CMAES, sigma0=open_loop.SIGMA)
_TABLE = (
    Learner("response", "a response surface around the start", True, _set_actor(0), ResponseSurface),
    Learner("cma-es", "CMA-ES on a linear actor, from the start", True, _set_actor(0), _search),
    Learner("ppo", "PPO with a network, from the start", True, _set_actor(HIDDEN), make_ppo),
    Learner("sac", "SAC with a network, from the start", True, _set_actor(HIDDEN), make_sac),
    Learner("tqc", "TQC with a network, from the start", True, _set_actor(HIDDEN), make_tqc),
    Learner("regression", "regression of gains on weights and observation", False, _no_gain, GainRegression),
    Learner("best-static", "constant weights by CMA-ES, open loop", False, _even_weights(1), _open_loop_search),
    Learner("regmix", "constant weights by RegMix, open loop", False, _even_weights(1), RegMix),
    Learner("d-optimal", "constant weights by a designed experiment", False, _even_weights(1), DOptimal),
    Learner("schedule", "a schedule of weights by CMA-ES, open loop", False, _even_weights(KNOTS), _open_loop_search),
)
LEARNERS = {learner.name: learner for learner in _TABLE}


def learner_named(name: str) -> Learner:
    """That row of the table. InputError: none."""
    if name not in LEARNERS:
        raise InputError(f"unknown learner '{name}'; {nearest(name, LEARNERS)}")
    return LEARNERS[name]
