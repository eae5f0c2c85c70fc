"""A trial of an agent: it is started in a few made-up runs, without a model, and learns from probes."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...lm.corpus.corpus import Labels
from ...lm.io.errors import InputError
from ..agents.base import Agent, Array, Feedback, Layout
from ..text.corpus_text import CorpusText

RUNS = np.arange(3)
WINDOWS = 48  # of a probe of one run
LOST_PROBE, LOST_RUN = 1, 2  # in this probe, nothing was measured of this run


@dataclass(frozen=True)
class TrialData:
    """What trials share. reference_DA: labels of the reference tasks' validation documents, which no run trains on."""

    layout: Layout
    reference_DA: NDArray[np.uint16]

    @classmethod
    def of(cls, columns: dict[str, Labels], documents: CorpusText) -> "TrialData":
        labels = np.stack([labels.column for labels in columns.values()], 1)
        cells = np.unique(labels[documents.train.start : documents.train.stop], axis=0)
        reference = labels[np.concatenate([documents.validation(task) for task in documents.tasks])]
        for array in (cells, reference):
            array.setflags(write=False)  # all agents get the same ones
        return cls(Layout(columns, cells), reference)

    def probe(self, number: int, runs: NDArray[np.intp]) -> Feedback:
        """What probe `number` tells of `runs`: random, the same in every trial, in new arrays."""
        rng, cells, shape = np.random.default_rng(number), self.layout.cells, (len(RUNS), WINDOWS)
        labels, share = cells[rng.integers(len(cells), size=shape)], rng.uniform(0.5, 1.5, shape)
        loss, influence = rng.uniform(1, 6, shape), rng.normal(size=shape)
        reference, epochs = rng.uniform(1, 6, len(RUNS)), rng.uniform(0, 2, (len(RUNS), len(cells)))
        share /= share.sum(1, keepdims=True)
        if number == LOST_PROBE:  # the run diverged
            loss[LOST_RUN], influence[LOST_RUN], reference[LOST_RUN] = np.nan, np.nan, np.nan
        return Feedback(labels[runs], share[runs], loss[runs], influence[runs], reference[runs], epochs[runs])


class Trial:
    """A copy of `agent`, started in `runs`. Its methods raise InputError where the agent's do not do what
    agents/base.py says of them."""

    def __init__(self, agent: Agent, data: TrialData, runs: NDArray[np.intp] = RUNS) -> None:
        self.agent, self.data, self.runs, self.lost = copy.deepcopy(agent), data, runs, False
        with self._watching("start"):
            self.agent.start(len(runs), data.layout)

    def learn(self, probe: int) -> None:
        """Let the agent learn from a probe. It must leave the feedback as it was."""
        told, kept = self.data.probe(probe, self.runs), self.data.probe(probe, self.runs)
        with self._watching("update"):
            self.agent.update(told)
        for key, array in vars(kept).items():
            if not np.array_equal(array, getattr(told, key), equal_nan=array.dtype.kind == "f"):
                raise InputError(
                    f"agent '{self.agent.name}' changed feedback.{key}, which all agents share: work on a copy of it"
                )
        self.lost |= probe == LOST_PROBE and LOST_RUN in self.runs

    def priorities(self) -> Array:
        """Scores of cells and of reference documents, (N, C + D); NaN of the latter where the agent cannot tell."""
        cells_CA, reference_DA = self.data.layout.cells, self.data.reference_DA
        with self._watching("score_cells"):
            cells = self.agent.score_cells(cells_CA)
        with self._watching("score"):
            reference = self.agent.score(reference_DA)
        self._check_scores("score_cells", cells, len(cells_CA))
        self._check_scores("score", reference, len(reference_DA))
        if np.isfinite(cells).all() and not np.isinf(reference).any():
            return np.concatenate([cells, reference], 1)
        name = f"agent '{self.agent.name}'"
        if self.lost:
            raise InputError(
                f"{name} gave NaN or infinite priorities after a probe that tells nothing of one run (all NaN): leave "
                "runs that are not in `feedback.usable` as they are, and treat each run by itself"
            )
        raise InputError(
            f"{name} gave NaN or infinite priorities, expected finite ones of every cell: look for 0 / 0, log of 0, "
            "or cells it never saw; `score` alone may say NaN, of text outside the pool"
        )

    def _check_scores(self, method: str, scores: Array, count: int) -> None:
        expected = (len(self.runs), count)
        if not isinstance(scores, np.ndarray) or scores.dtype.kind != "f" or scores.shape != expected:
            given = f"{scores.dtype} {scores.shape}" if isinstance(scores, np.ndarray) else type(scores).__name__
            raise InputError(
                f"agent '{self.agent.name}': {method} gave {given}, expected float64 {expected}: one row a run, one "
                "column a cell or document"
            )

    @contextmanager
    def _watching(self, method: str) -> Iterator[None]:
        """Turn the errors of two known mistakes in a method of the agent into an InputError that names the mistake."""
        try:
            yield
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            raise InputError(
                f"agent '{self.agent.name}' writes into what {method} was given, which all agents share: work on a copy"
            ) from error
        except AttributeError as error:
            if error.obj is not self.agent:
                raise
            raise InputError(
                f"agent '{self.agent.name}': {method} reads self.{error.name}, which it does not have: the agent of a "
                "run is a new one that is started and never fitted, and knows the labels alone"
            ) from error
