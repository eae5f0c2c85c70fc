"""A scenario: one situation that a policy may meet on a task. `distribution.py` says what scenarios are drawn from."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ...lm.io.errors import InputError
from ...lm.io.typed_json import from_json, to_json

ADDED = {"reference_documents": None, "null": "", "loss_part": "validation"}  # fields that 0.3 did not have, its values
LOSS_PARTS = ("validation", "trial")


@dataclass(frozen=True)
class Scenario:
    """Which loss counts, which text a run may draw, and which agents there are.

    reference: (task, weight) pairs, weights sum to 1: the mixture of reference tasks whose loss counts. pool_budgets:
    tokens in the pool over tokens in the budget, so that a proxy and a target with the same number repeat the same
    text equally often (simulated epoching); at most what the corpus has. useful_share, junk_share: shares of the
    pool's tokens, in [0, 1], of the text that is most and least similar to the reference tasks (`pool.py`); None:
    as in the corpus. without: (label column, category) pairs that are not in the pool. absent: agents that are not
    there. copies: (agent, other) pairs: a copy of the other agent stands in the agent's place. noise: (static
    agent, share in [0, 1]) pairs: that share of the agent's scores is chance. lr_scale: a factor on the peak
    learning rates. pool_seed: decides which text of each cell is in the pool, and in which order it comes; None:
    the run's own seed decides. reference_documents: how many validation documents of each task steer a run
    (`steering_text.py`); None: all. null: the kind of null scenario that it is (`distribution.py`), where
    natural is right or hard to beat; empty: an ordinary one. loss_part: the part of the reference tasks whose loss is
    observed and rewarded: `validation`, which steers too, or `trial`, which does not, so that what only fits the
    steering text does not pay."""

    reference: tuple[tuple[str, float], ...]
    pool_budgets: float
    useful_share: float | None = None
    junk_share: float | None = None
    without: tuple[tuple[str, str], ...] = ()
    absent: tuple[str, ...] = ()
    copies: tuple[tuple[str, str], ...] = ()
    noise: tuple[tuple[str, float], ...] = ()
    lr_scale: float = 1.0
    pool_seed: int | None = None
    reference_documents: int | None = None
    null: str = ""
    loss_part: Literal["validation", "trial"] = "validation"

    def __post_init__(self) -> None:
        weights = np.array([weight for _, weight in self.reference])
        names = {name for name, _ in self.reference}
        whole = len(names) == len(weights) > 0 and (weights >= 0).all() and abs(weights.sum() - 1) <= 1e-6
        if not whole:
            raise InputError(
                f"scenario reference is {self.reference}, expected weights that sum to 1, none below 0, of "
                "different tasks"
            )
        for name in ("pool_budgets", "lr_scale"):
            if not 0 < getattr(self, name) < np.inf:
                raise InputError(f"scenario {name} is {getattr(self, name)}, expected a positive number")
        shares = [share for share in (self.useful_share, self.junk_share) if share is not None]
        if any(not 0 <= share <= 1 for share in shares) or sum(shares) > 1:
            raise InputError(
                f"scenario useful_share is {self.useful_share} and junk_share {self.junk_share}, expected shares of one"
            )
        if self.reference_documents is not None and self.reference_documents < 1:
            raise InputError(f"scenario reference_documents is {self.reference_documents}, expected at least 1")
        if self.loss_part not in LOSS_PARTS:
            raise InputError(f"scenario loss_part is '{self.loss_part}', expected one of {', '.join(LOSS_PARTS)}")
        if any(not 0 <= share <= 1 for _, share in self.noise):
            raise InputError(f"scenario noise is {self.noise}, expected shares from 0 to 1")

    def as_json(self) -> dict[str, Any]:
        """All fields, in types that `json.dumps` takes."""
        return {**to_json(self)}

    @classmethod
    def from_json(cls, value: Any, where: str = "scenario") -> "Scenario":
        """The scenario that gave this `as_json`, exactly. InputError: unknown or missing keys, or wrong values."""
        return from_json(cls, as_of_now(value), where)


def as_of_now(value: Any) -> Any:
    """A scenario in JSON; one of an earlier version gets the fields that were added since."""
    return {**ADDED, **value} if isinstance(value, dict) else value
