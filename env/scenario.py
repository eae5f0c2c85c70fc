"""Scenarios: one setting of the task each, and the distribution they are drawn from."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..lm.errors import InputError
from .typed_json import from_json, to_json

SETS = ("train", "development", "sealed")  # the learner's; for choosing defaults; opened once, for the claim
SCENARIO = 2**31  # keeps this random stream apart from an episode's, which share its seed


@dataclass(frozen=True)
class Scenario:
    """`reference`: (task, weight) pairs, weights sum to 1: the mixture of reference tasks whose loss counts;
    `pool_budgets`: tokens in the pool over tokens in the budget, so that a proxy and a target with the same number
    repeat the same text equally often (simulated epoching)."""

    reference: tuple[tuple[str, float], ...]
    pool_budgets: float

    def __post_init__(self) -> None:
        weights = np.array([weight for _, weight in self.reference])
        if not len(weights) or (weights < 0).any() or abs(weights.sum() - 1) > 1e-6:
            raise InputError(f"scenario reference is {self.reference}, expected weights that sum to 1, none below 0")
        if not self.pool_budgets > 0:
            raise InputError(f"scenario pool_budgets is {self.pool_budgets}, expected a positive number")

    def as_json(self) -> dict[str, Any]:
        """All fields, as what `json.dumps` takes."""
        return {**to_json(self)}

    @classmethod
    def from_json(cls, value: Any, where: str = "scenario") -> "Scenario":
        """The scenario that `as_json` gave, exactly. InputError: unknown or missing keys, or values that are wrong."""
        return from_json(cls, value, where)


def sample_scenario(tasks: tuple[str, ...], seed: int) -> Scenario:
    """The scenario that `seed` stands for.

    Half have one reference task, half a mixture of all (Dirichlet(2)). Pools are log-uniform from 1.5 to
    100 budgets: the useful part, a tenth to a half of the pool, then lasts .1 to 7 epochs at full strength."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, SCENARIO]))
    if rng.random() < 0.5 or len(tasks) == 1:
        weights = np.eye(len(tasks))[rng.integers(len(tasks))]
    else:
        weights = rng.dirichlet(np.full(len(tasks), 2.0))
    reference = tuple((task, float(weight)) for task, weight in zip(tasks, weights, strict=True))
    return Scenario(reference, float(np.exp(rng.uniform(np.log(1.5), np.log(100.0)))))
