"""Harm: in how many scenarios a policy is worse than natural, and how badly where it is worst."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# What a policy may lose against natural before a scenario counts as harmed. Natural makes up .02 nats with about a
# tenth more tokens (RESULTS.md: .185 nats with 2.3 times the tokens), and two runs of natural from other seeds mostly
# differ by less. Where they do not, chance counts as harm: a comparison shows how often, by natural from another seed.
HARM_NATS = 0.02
WORST = 10  # one in so many scenarios, rounded up, is in the worst tenth
Z95 = 1.959964  # deviations of the normal distribution that hold 95%


@dataclass(frozen=True)
class Harm:
    """How a policy fares against natural over some scenarios, each one number: the mean gain of its runs, nats.

    harmed_share: of the scenarios in which the gain is below -HARM_NATS; harmed_ci95: its interval, low and high;
    worst_tenth_nats: mean gain of the tenth of the scenarios where it is lowest, rounded up to whole ones."""

    scenarios: int
    gain_nats: float
    harmed_share: float
    harmed_ci95: tuple[float, float]
    worst_tenth_nats: float


def harm_of(gains: NDArray[np.float64]) -> Harm:
    """The harm in these gains, one a scenario, nats over natural."""
    count, harmed = len(gains), int((gains < -HARM_NATS).sum())
    worst = np.sort(gains)[: -(-count // WORST)]
    return Harm(count, float(gains.mean()), harmed / count, wilson95(harmed, count), float(worst.mean()))


def wilson95(successes: int, trials: int) -> tuple[float, float]:
    """The 95% interval of a share, low and high (Wilson 1927), which takes the trials for independent.

    A bootstrap would call a share of 0 certain; by this one 0 of 24 may be up to 14% in truth.

    >>> [round(bound, 3) for bound in wilson95(0, 24)]
    [0.0, 0.138]
    """
    share, z = successes / trials, Z95
    middle = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return max(0.0, round(float(middle - half), 4)), round(float(middle + half), 4)
