"""The mean of gains that were measured on windows of reference text, with an interval over runs and documents."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...env.scenarios.task import ReferenceSample, Task

Array = NDArray[np.float64]
TINY = 1e-30  # a variance


@dataclass(frozen=True)
class MeanGain:
    """How much lower a policy's loss is than natural's, nats per token; positive is better. ci95: the low and the high
    end of its interval; None where the text is too little to tell, a single document of a reference task."""

    nats: float
    ci95: tuple[float, float] | None

    @property
    def verdict(self) -> str:
        """One of "gain", "harm", "unclear", where the interval holds 0 or there is none, and "none", where the runs are
        natural's, bit for bit: nothing was selected."""
        if self.ci95 == (0.0, 0.0):
            return "none"
        if self.ci95 is None or self.ci95[0] <= 0 <= self.ci95[1]:
            return "unclear"
        return "gain" if self.nats > 0 else "harm"

    def __str__(self) -> str:
        return f"{self.nats:+.3f} nats, " + (
            "no interval" if self.ci95 is None else f"95% interval [{self.ci95[0]:+.3f}, {self.ci95[1]:+.3f}]"
        )


@dataclass(frozen=True)
class Stratum:
    """Windows of one reference task. gain_NW: of N pairs of runs on each window; document_W: which document each is of;
    weight: with which the stratum's mean counts in the whole, which may be negative for a difference."""

    weight: float
    gain_NW: Array
    document_W: NDArray[np.int64]


def strata(task: Task, weights_T: Array, sample: ReferenceSample, gain_NW: Array) -> list[Stratum]:
    """The windows of `Measuring.window_losses`, task by task, with the tasks' weights."""
    document_W = task.windows.document(sample.ids[0])
    return [
        Stratum(float(weight), gain_NW[:, sample.task[0] == place], document_W[sample.task[0] == place])
        for place, weight in enumerate(weights_T)
        if weight > 0
    ]


def mean_gain(parts: Sequence[Stratum]) -> MeanGain:
    """The weighted sum of the strata's means, with an interval that runs and documents both widen.

    Every run is measured on the same windows, so runs and documents are crossed: a run that came out well does so on
    all documents, and a document that the policy's text suits gains in all runs. Neither windows nor pairs of runs are
    independent, and with the few documents of a trial part their choice is the larger noise. The variance of the mean
    is the sum of that over runs and that over documents (two-way clustering: Cameron, Gelbach and Miller 2011,
    doi:10.1198/jbes.2010.07136). The term that they take off, of what runs and documents share, is left in: with it the
    variance could be negative, without it it is at most a little too large, like that of the bootstrap of rows and
    columns (Owen 2007, doi:10.1214/07-AOAS122). A bootstrap over few documents would be too narrow (`bootstrap.py`
    tells by how much), so the interval is Student's t. Its degrees of freedom are the fewer of those over runs and over
    documents, as they advise: two runs that come out alike by chance would else make it far too narrow. Those over the
    documents of several tasks are of a sum of variances (Satterthwaite 1946). Documents of different lengths count as
    so many equal ones as the sum of their squared shares says. One pair of runs alone tells nothing of the noise
    between runs: then the interval is over documents alone."""
    by_run_N = np.sum([part.weight * part.gain_NW.mean(1) for part in parts], 0)
    mean, count = float(by_run_N.mean()), len(by_run_N)
    of_documents = [_over_documents(part) for part in parts]
    if any(freedom <= 0 for _, freedom in of_documents):
        return MeanGain(mean, None)
    variance = sum(each for each, _ in of_documents)
    freedom = variance**2 / sum(max(each, TINY) ** 2 / own for each, own in of_documents)
    if count > 1:
        variance, freedom = variance + float(by_run_N.var(ddof=1)) / count, min(max(freedom, 1.0), count - 1.0)
    if not variance > 0:  # nothing differs, as where the policy is natural
        return MeanGain(mean, (mean, mean))
    from scipy.special import stdtrit  # the quantile of Student's t; scipy.stats takes ten times as long to import

    half = float(stdtrit(max(freedom, 1.0), 0.975)) * variance**0.5
    return MeanGain(mean, (mean - half, mean + half))


def _over_documents(part: Stratum) -> tuple[float, float]:
    """The variance that the choice of documents gives a stratum's part of the sum (of a ratio, by linearisation), and
    its degrees of freedom, 0 where there is but one document."""
    gain_W = part.gain_NW.mean(0)
    _, place_W = np.unique(part.document_W, return_inverse=True)
    share_D = np.bincount(place_W) / len(gain_W)
    documents = 1 / float((share_D**2).sum())  # equal ones that are worth as much
    if len(share_D) == 1:
        return 0.0, 0.0
    apart_D = np.bincount(place_W, gain_W - gain_W.mean()) / len(gain_W)
    variance = part.weight**2 * float((apart_D**2).sum()) * documents / (documents - 1)
    return variance, documents - 1
