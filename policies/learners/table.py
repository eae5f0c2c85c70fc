"""The learners by name, a row each: to add one, write its file and its row."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from ...env.console.action_map import ActionMap
from ...lm.io.errors import InputError
from ...lm.io.files import nearest
from ..baselines.rules import Lift
from .start import Start

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.vec_env import VecEnv

    from ..actors.actor import Actor


class MakeActor(Protocol):
    def __call__(self, action_map: ActionMap, agents: tuple[str, ...], seed: int, start: Start) -> "Actor": ...


class MakeAlgorithm(Protocol):
    def __call__(self, env: "VecEnv", actor: "Actor", *, seed: int) -> "BaseAlgorithm": ...


@dataclass(frozen=True)
class Learner:
    """One way to learn a policy.

    about: a few words for the command's help; takes_start: whether its actor begins as the rule or policy that it is
    given, or knows nothing; actor: the function of this package, as module:name, that makes the actor that learning
    begins with (`MakeActor`); algorithm: that which makes the Stable-Baselines3 algorithm, which changes a copy of that
    actor (`MakeAlgorithm`). Either is loaded when learning begins, so that learners are listed without torch."""

    name: str
    about: str
    takes_start: bool
    actor: str
    algorithm: str

    def start_actor(
        self, action_map: ActionMap, agents: tuple[str, ...], seed: int, start: Start | None = None
    ) -> "Actor":
        """The actor that learning begins with, from `start` (default: lift) if the learner takes one. Its random
        weights are functions of the seed. InputError: a policy learned with another action map."""
        make: MakeActor = _loaded(self.actor)
        return make(action_map, agents, seed, start or Lift())

    def make_algorithm(self, env: "VecEnv", actor: "Actor", *, seed: int) -> "BaseAlgorithm":
        """The algorithm that learns on `env`, from a copy of `actor`."""
        make: MakeAlgorithm = _loaded(self.algorithm)
        return make(env, actor, seed=seed)


def _loaded(place: str) -> Any:
    """What stands at module:name of this package."""
    module, _, name = place.partition(":")
    return getattr(import_module(f".{module}", __package__), name)


_LINEAR, _NETWORK, _EVEN = "start:linear_actor", "start:network_actor", "open_loop:even_weights"
_TABLE = (
    Learner("response", "a response surface around the start", True, _LINEAR, "response:ResponseSurface"),
    Learner("cma-es", "CMA-ES on a linear actor, from the start", True, _LINEAR, "cma_es:make_cma_es"),
    Learner("ppo", "PPO with a network, from the start", True, _NETWORK, "ppo:make_ppo"),
    Learner("sac", "SAC with a network, from the start", True, _NETWORK, "off_policy:make_sac"),
    Learner("tqc", "TQC with a network, from the start", True, _NETWORK, "off_policy:make_tqc"),
    Learner(
        "regression",
        "regression of gains on weights and observation",
        False,
        "regression:no_gain",
        "regression:GainRegression",
    ),
    Learner("best-static", "constant weights by CMA-ES, open loop", False, _EVEN, "open_loop:make_search"),
    Learner("regmix", "constant weights by RegMix, open loop", False, _EVEN, "regmix:RegMix"),
    Learner("d-optimal", "constant weights by a designed experiment", False, _EVEN, "d_optimal:DOptimal"),
    Learner(
        "schedule",
        "a schedule of weights by CMA-ES, open loop",
        False,
        "open_loop:even_schedule",
        "open_loop:make_search",
    ),
)
LEARNERS = {learner.name: learner for learner in _TABLE}


def learner_named(name: str) -> Learner:
    """That row of the table. InputError: none."""
    if name not in LEARNERS:
        raise InputError(f"unknown learner '{name}'; {nearest(name, LEARNERS)}")
    return LEARNERS[name]
