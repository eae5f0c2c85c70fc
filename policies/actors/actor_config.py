"""Which features of the observation an actor reads: chosen by name, and part of its architecture."""

from dataclasses import dataclass

from ...env.observation.observation import AGENT_FEATURES, TRAINING_FEATURES, Feature
from ...lm.io.errors import InputError
from ...lm.io.files import nearest

AGENT_BY_NAME = {feature.name: feature for feature in AGENT_FEATURES}
TRAINING_BY_NAME = {feature.name: feature for feature in TRAINING_FEATURES}
# Mean and standard deviation, by name, over the agents and intervals of 8 scenarios of the default corpus, proxies and
# agents under random consoles (measured once, two digits). The actor works in these units, which makes one step of a
# learner, or one standard deviation of a search, mean about the same for every feature. is_null is constant there.
TYPICAL: dict[str, tuple[float, float]] = {
    "is_null": (0.0, 1.0),
    "moves": (0.5, 0.5),
    "weight": (0.06, 0.07),
    "draw_mean": (0.47, 0.58),
    "draw_spread": (0.81, 0.23),
    "lift_mean": (0.75, 0.69),
    "lift_useful": (0.9, 0.7),
    "lift_log": (-0.7, 1.1),
    "lift_min": (0.61, 0.78),
    "agreement": (0.08, 0.16),
    "agreement_t": (0.12, 0.24),
    "agreement_allowed": (0.13, 0.45),
    "agreement_task_mean": (0.04, 0.18),
    "agreement_task_min": (0.0, 0.2),
    "ridge": (0.03, 0.11),
    "drift": (0.4, 0.5),
    "seen_gap": (-0.2, 0.4),
    "paper_reward": (0.18, 0.36),
    "mix_correlation": (0.53, 0.28),
    "epochs_used": (0.12, 0.17),
    "epochs_projected": (0.45, 0.43),
    "progress": (0.44, 0.28),
    "lr_fraction": (0.50, 0.21),
    "loss_fall": (0.22, 0.35),
    "loss_slope": (0.44, 0.36),
    "train_gap": (-0.05, 0.17),
    "scarcity": (-1.35, 0.66),
    "effective_cells": (0.54, 0.35),
    "divergence": (1.27, 1.09),
    "probe_error": (0.08, 0.02),
}
POOLS = ("max", "trusted")  # over the agents but null: the largest value; the mean, weighted by the trust in each
POOLED_BY_NAME = {f"{pool}.{feature.name}": feature for pool in POOLS for feature in AGENT_FEATURES}
MAX_HIDDEN = 1024


@dataclass(frozen=True)
class SetActorConfig:
    """The features of a set actor, in its order, and the width of its residual networks.

    trust: features of an agent's row; strength: features of the training, and features of the agents pooled as
    `max.<feature>` or `trusted.<feature>`; hidden: units of the residual networks, 0 for a linear actor."""

    trust: tuple[str, ...] = ("moves", "lift_log", "agreement", "ridge", "epochs_projected")
    strength: tuple[str, ...] = ("progress", "scarcity", "trusted.lift_log", "trusted.agreement", "trusted.ridge")
    hidden: int = 0

    def __post_init__(self) -> None:
        check_names("trust", self.trust, AGENT_BY_NAME)
        check_names("strength", self.strength, TRAINING_BY_NAME | POOLED_BY_NAME)
        if not 0 <= self.hidden <= MAX_HIDDEN:
            raise InputError(f"hidden is {self.hidden}, expected a width from 0 to {MAX_HIDDEN}")

    @property
    def training(self) -> tuple[str, ...]:
        """The features of the training among those of the strength."""
        return tuple(name for name in self.strength if name in TRAINING_BY_NAME)

    def observed(self) -> dict[str, Feature]:
        """Every feature of the observation that the actor reads, once, by its name there."""
        features = [AGENT_BY_NAME[name] for name in self.trust]
        features += [(TRAINING_BY_NAME | POOLED_BY_NAME)[name] for name in self.strength]
        return {feature.name: feature for feature in features}


def check_names(kind: str, names: tuple[str, ...], known: dict[str, Feature]) -> None:
    if not names or len(set(names)) != len(names):
        raise InputError(f"{kind} features are {list(names)}, expected at least one and none twice")
    for name in names:
        if name not in known:
            raise InputError(f"{kind} feature '{name}' is not supplied by the environment; {nearest(name, known)}")
