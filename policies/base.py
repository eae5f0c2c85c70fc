"""What a policy is: observations of N runs in, console weights out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..env.observation.observation import Observation
from ..lm.io.errors import InputError

Weights = NDArray[np.float64]  # (N, K), rows on the simplex, absent agents exactly 0


class Policy(ABC):
    """Chooses the weights of N runs at once. `reset` comes before the first decision of an episode."""

    name: str

    def reset(self, agents: tuple[str, ...], num_runs: int) -> None:
        """Begin `num_runs` episodes with these agents (in order, null first). InputError if the policy cannot."""

    @abstractmethod
    def act(self, observation: Observation) -> Weights:
        """Weights for the coming interval, (N, K)."""

    @abstractmethod
    def describe(self) -> str:
        """One line for people: what it does and with which settings."""

    def state_dict(self) -> dict[str, NDArray]:
        """Arrays that `load_state_dict` restores exactly; a policy without memory has none."""
        return {}

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        """Restore what `state_dict` gave, after `reset`."""


def act_apart(policies: Sequence[Policy], observation: Observation) -> Weights:
    """What each policy decides for its own of an episode's N runs, (N, K): the first for the first ones, and so on,
    each for equally many."""
    each = len(observation.mask) // len(policies)
    parts = [slice(place * each, (place + 1) * each) for place in range(len(policies))]
    return np.concatenate([policy.act(observation.runs(part)) for policy, part in zip(policies, parts, strict=True)])


def check_reset(policy: Policy, shape: tuple[int, ...], observation: Observation) -> None:
    """InputError where a policy with a memory of that shape, (N, K), meets other runs or agents."""
    if shape != observation.mask.shape:
        seen = observation.mask.shape
        raise InputError(f"{policy.name} was reset for {shape} runs and agents, but sees {seen}")


def mix(strength: float | NDArray[np.float64], shares: Weights, mask: NDArray[np.bool_]) -> Weights:
    """`strength` (one, or (N,)) spread over the other agents by `shares` (N, K; absent and null 0), the rest on null.

    A run whose shares sum to 0, because no other agent is present, is all null."""
    total = shares.sum(1, keepdims=True)
    some = ~(total <= 0)  # what is not a number stays so, for the environment to refuse
    strength_N = np.broadcast_to(strength, len(shares))
    weights = strength_N[:, None] * np.divide(shares, total, out=np.zeros_like(shares), where=some)
    weights[:, 0] = np.where(some[:, 0], 1 - strength_N, 1.0)
    return np.where(mask, weights, 0.0)


def others(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The agents that are present and not null, (N, K)."""
    result = mask.copy()
    result[:, 0] = False
    return result
