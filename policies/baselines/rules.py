"""Hand-written rules that a learned policy has to beat."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ...env.observation.features import AGENT_FEATURES, T_UNIT, TRAINING_FEATURES, column
from ...env.observation.observation import Observation
from ...lm.io.errors import InputError
from ..base import Policy, Weights, check_reset, mix, others

AGREEMENT, AGREEMENT_T = (column(AGENT_FEATURES, name) for name in ("agreement", "agreement_t"))
LIFT_LOG = column(AGENT_FEATURES, "lift_log")
LIFT_SURE = column(AGENT_FEATURES, "lift_sure")
LOSS_FALL, LOSS_SLOPE = (column(TRAINING_FEATURES, name) for name in ("loss_fall", "loss_slope"))
ENOUGH = 0.4  # sure lift; less makes a strength that gains less than another seed changes
AGAINST, FOR = -2.0, 4.0  # t-statistics of measured agreement at which nothing and all of the strength is left
RISEN = 0.01  # of the change in the first interval: a validation loss that goes up by more has not done so by chance
PAPER_REWARD = column(AGENT_FEATURES, "paper_reward")


def check_strength(strength: float, evidence: float = 0.0) -> None:
    if not 0 <= strength <= 1:
        raise InputError(f"strength is {strength}, expected a share of the weight between 0 and 1")
    if not 0 <= evidence < float("inf"):
        raise InputError(f"evidence is {evidence}, expected a power from 0 up")
    if strength == 1 and evidence:
        raise InputError("strength is 1, whose odds no evidence lowers; expected less, such as 0.25, or evidence=0")


def mix_by_evidence(strength: float, evidence: float, shares: Weights, observation: Observation) -> Weights:
    """The agents mixed by `shares` (N, K) as strongly as is known of them.

    evidence 0: always `strength`. Else the odds of the strength, s / (1 - s), are those of `strength` times two
    numbers:

    - what is known before training: the lift that is sure (`lift_sure`), up to 1, to the power `evidence`. Below ENOUGH
      nothing is selected.
    - what was measured: `in_favour`, of the t-statistic with which scores agree with influence.

    Both are means over the agents by their shares. Nothing is selected either in an interval after one in which the
    validation loss rose: the model has begun to learn the selected text by heart, or the text misleads it. A run in
    which nothing is ever selected is natural's, bit for bit, and cannot end worse. All numbers are set on development
    scenarios (experiments/RESULTS.md, entry 29)."""
    if not evidence:
        return mix(np.full(len(shares), strength), shares, observation.mask)
    total = np.maximum(shares.sum(1), 1e-12)
    sure, t = (
        (shares * observation.agents[..., feature].astype(np.float64)).sum(1) / total
        for feature in (LIFT_SURE, AGREEMENT_T)
    )
    odds = strength * np.clip(sure, 0, 1) ** evidence * in_favour(T_UNIT * t)
    change, slope = observation.statistics[:, LOSS_FALL], observation.statistics[:, LOSS_SLOPE]
    risen = (slope < 0) & (abs(change) > RISEN)  # the change is relative, and its sign that of the first, too
    odds = np.where((sure < ENOUGH) | risen, 0.0, odds)
    return mix(odds / (odds + (1 - strength)), shares, observation.mask)


def in_favour(t: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """From 0, where the t-statistic of agreement is AGAINST or less, to 1, where it is FOR or more."""
    return np.clip((t - AGAINST) / (FOR - AGAINST), 0, 1)


def told_strength(strength: float, evidence: float) -> str:
    """The strength in words."""
    follows = f", its odds times sure lift to the power {evidence:g} and the share that agreement leaves"
    return f"strength {strength:g}" + (follows if evidence else "")


@dataclass
class SoftmaxRule(Policy):
    """Softmax of one feature over the agents. temperature: difference in the feature that makes a factor e in weight;
    strength: 1 - weight of null, or the most of it where it follows evidence (`mix_by_evidence`)."""

    temperature: float
    strength: float
    evidence: float
    feature: ClassVar[str]

    def __post_init__(self) -> None:
        check_strength(self.strength, self.evidence)
        if not self.temperature > 0:
            raise InputError(f"temperature is {self.temperature}, expected a positive number")

    def act(self, observation: Observation) -> Weights:
        value = observation.agents[..., column(AGENT_FEATURES, self.feature)].astype(np.float64)
        shares = _shares(value / self.temperature, observation.mask)
        return mix_by_evidence(self.strength, self.evidence, shares, observation)

    def describe(self) -> str:
        told = told_strength(self.strength, self.evidence)
        return f"softmax of {self.feature} / {self.temperature:g} over the agents, {told}"


@dataclass
class Agreement(SoftmaxRule):
    """Softmax of the agents' agreement (a correlation) with measured influence.

    Tuned: the best of five settings on 28 development scenarios (experiments/results/rules.md)."""

    temperature: float = 0.1
    strength: float = 0.25
    evidence: float = 0.0
    name: str = field(default="agreement", init=False)
    feature = "agreement"


@dataclass
class Ridge(SoftmaxRule):
    """Softmax of the coefficients of a joint ridge regression of influence on all agents' scores: of two that say
    the same, neither counts twice. Coefficients are in units of the influence's root mean square; numbers assumed."""

    temperature: float = 0.05
    strength: float = 0.12
    evidence: float = 0.0
    name: str = field(default="ridge", init=False)
    feature = "ridge"


@dataclass
class Lift(Policy):
    """Shares go by lift to the power `power` times exp(agreement / temperature); strength: 1 - weight of null, or the
    most of it where it follows evidence (`mix_by_evidence`). Lift is how highly an agent ranks the reference tasks' own
    text, known before training; learning starts from this rule.

    Power and temperature are tuned: the best of six settings on 14 development scenarios
    (experiments/results/rules.md); evidence on 67 training scenarios (experiments/results/2026-11-30-evidence/);
    strength, with what `mix_by_evidence` does, on 80 development scenarios (experiments/RESULTS.md, entry 29)."""

    power: float = 2.0
    temperature: float = 0.2
    strength: float = 0.35
    evidence: float = 2.0
    name: str = field(default="lift", init=False)

    def __post_init__(self) -> None:
        check_strength(self.strength, self.evidence)
        if not (self.temperature > 0 and np.isfinite(self.power)):
            raise InputError(f"power {self.power}, temperature {self.temperature}: expected a number, a positive one")

    def act(self, observation: Observation) -> Weights:
        agents = observation.agents.astype(np.float64)
        logits = self.power * agents[..., LIFT_LOG] + agents[..., AGREEMENT] / self.temperature
        return mix_by_evidence(self.strength, self.evidence, _shares(logits, observation.mask), observation)

    def describe(self) -> str:
        told = told_strength(self.strength, self.evidence)
        return f"lift to the power {self.power:g} times exp(agreement / {self.temperature:g}), {told}"


@dataclass
class PaperRule(Policy):
    """The console update of arXiv 2410.08102, eq. 7-8: theta_A += eta * (R_A - mean of R over the agents).

    R_A is the observation's `paper_reward` of the last probe. Departures, all where the paper is silent or has no
    counterpart: theta is clipped at 0 and divided by its sum after every update; the agents are all those present, not
    three, and null is not one of them; R is in units of the influence's root mean square; the weight of null is the
    constant 1 - strength. Both numbers are tuned, about as many proxy runs spent on them as on a learned policy: the
    best of seven settings on development scenarios (experiments/results/rules.md). The released code's eta is 0.1."""

    eta: float = 0.3
    strength: float = 0.35
    evidence: float = 0.0
    name: str = field(default="paper-rule", init=False)
    theta: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)), init=False, repr=False)

    def __post_init__(self) -> None:
        check_strength(self.strength, self.evidence)
        if not 0 <= self.eta < float("inf"):
            raise InputError(f"eta is {self.eta}, expected a number from 0 up")

    def reset(self, agents: tuple[str, ...], num_runs: int) -> None:
        self.theta = np.ones((num_runs, len(agents)))

    def act(self, observation: Observation) -> Weights:
        present = others(observation.mask)
        check_reset(self, self.theta.shape, observation)
        count = np.maximum(present.sum(1, keepdims=True), 1)
        reward = np.where(present, observation.agents[..., PAPER_REWARD].astype(np.float64), 0.0)
        theta = _normalised(np.where(present, self.theta, 0.0))
        step = self.eta * (reward - reward.sum(1, keepdims=True) / count)
        self.theta = _normalised(np.where(present, np.maximum(theta + step, 0.0), 0.0))
        return mix_by_evidence(self.strength, self.evidence, self.theta, observation)

    def describe(self) -> str:
        return f"eq. 7-8 of arXiv 2410.08102, eta {self.eta:g}, {told_strength(self.strength, self.evidence)}"

    def state_dict(self) -> dict[str, NDArray]:
        return {"theta": self.theta.copy()}

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        self.theta = state["theta"].copy()


def _shares(logits: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """exp(logits) of the agents that are present and not null, (N, K), scaled so that the largest is 1."""
    present = others(mask)
    logits = np.where(present, logits, -np.inf)
    highest = np.where(present.any(1), logits.max(1, initial=-np.inf), 0.0)
    return np.exp(logits - highest[:, None])


def _normalised(theta: NDArray[np.float64]) -> NDArray[np.float64]:
    total = theta.sum(1, keepdims=True)
    return np.divide(theta, total, out=np.zeros_like(theta), where=total > 0)
