"""Which features of the observation an actor reads: chosen by name, and part of its architecture."""

from dataclasses import dataclass, replace

from ...env.observation.features import AGENT_FEATURES, TRAINING_FEATURES, Feature
from ...lm.io.errors import InputError
from ...lm.io.files import nearest

AGENT_BY_NAME = {feature.name: feature for feature in AGENT_FEATURES}
TRAINING_BY_NAME = {feature.name: feature for feature in TRAINING_FEATURES}
POOLS = ("max", "trusted")  # over the agents but null: the largest value; the mean, weighted by the trust in each
EVIDENCE = "evidence"  # the log of the lift that is sure, pooled by trust, up to a lift of 1
LEAST_EVIDENCE = 0.05  # which a lift counts as at least, so that it has a logarithm
POOLED_BY_NAME = {f"{pool}.{feature.name}": feature for pool in POOLS for feature in AGENT_FEATURES}
POOLED_BY_NAME[EVIDENCE] = replace(AGENT_BY_NAME["lift_sure"], typical=(-1.0, 1.1))
MAX_HIDDEN = 1024


@dataclass(frozen=True)
class SetActorConfig:
    """The features of a set actor, in its order, and the width of its residual networks.

    trust: features of an agent; strength: features of the training, features of the agents pooled as `max.<feature>` or
    `trusted.<feature>`, and EVIDENCE; hidden: units of the residual networks, 0 for a linear actor."""

    trust: tuple[str, ...] = ("moves", "lift_log", "agreement", "ridge", "epochs_projected")
    strength: tuple[str, ...] = ("progress", "scarcity", EVIDENCE, "trusted.agreement", "trusted.ridge")
    hidden: int = 0

    def __post_init__(self) -> None:
        check_feature_names("trust", self.trust, AGENT_BY_NAME)
        check_feature_names("strength", self.strength, TRAINING_BY_NAME | POOLED_BY_NAME)
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


def check_feature_names(kind: str, names: tuple[str, ...], known: dict[str, Feature]) -> None:
    if not names or len(set(names)) != len(names):
        raise InputError(f"{kind} features are {list(names)}, expected at least one and none twice")
    for name in names:
        if name not in known:
            raise InputError(f"{kind} feature '{name}' is not supplied by the environment; {nearest(name, known)}")
