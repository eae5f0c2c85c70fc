"""check_agent on agents that label text: each mistake of an author is told with its likely cause."""

import random
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from pretraingym.env import check_agent
from pretraingym.env.agents.base import Array, LabelAgent
from pretraingym.env.text.corpus_text import CorpusText, TextBatch
from pretraingym.lm.corpus.corpus import Corpus, Labels
from pretraingym.lm.io.errors import InputError

Rng = np.random.Generator


class Short(LabelAgent):
    """A sound agent that labels text; the wrong ones below derive from it."""

    name = "short"

    def measure(self, batch: TextBatch) -> Array:
        return -np.array([len(text) for text in batch.texts], np.float64)


def labels_of(documents: CorpusText, **changes: Any) -> Labels:
    """Two categories, sound but for the changes."""
    column = (np.arange(len(documents.texts)) % 2).astype(np.uint16)
    return Labels(**{"names": ("even", "odd"), "values": (0.0, 1.0), "column": column, **changes})


def annotating(**changes: Callable[[Array], Any]) -> type[Short]:
    """A wrong agent whose labels have something of their own, made of the sound column."""

    class Wrong(Short):
        def annotate(self, measured_D: Array, documents: CorpusText) -> Labels:
            column = labels_of(documents).column
            return labels_of(documents, **{key: change(column) for key, change in changes.items()})

    return Wrong


def measuring(change: Callable[[Array, TextBatch], Array]) -> type[Short]:
    """A wrong agent that measures something else."""

    class Wrong(Short):
        def measure(self, batch: TextBatch) -> Array:
            return change(super().measure(batch), batch)

    return Wrong


def fitting(fit: Callable[[Any], object]) -> type[Short]:
    """A wrong agent that learns this from the documents, and multiplies by it if it is a number."""

    class Wrong(Short):
        def fit(self, documents: CorpusText, rng: Rng) -> None:
            self.learned = fit(documents)

        def measure(self, batch: TextBatch) -> Array:
            words = np.array([text.count(" ") for text in batch.texts])
            return super().measure(batch) + (self.learned if isinstance(self.learned, float) else 0) * words

    return Wrong


class Uncopied(Short):
    def __init__(self) -> None:
        self.lock = threading.Lock()


class Unlabelled(LabelAgent):
    name = "unheard-of"
    moves = True


class Counting(Short):
    """It numbers the batches."""

    calls = 0

    def measure(self, batch: TextBatch) -> Array:
        self.calls += 1
        return super().measure(batch) * self.calls


class NotLabels(Short):
    def annotate(self, measured_D: Array, documents: CorpusText) -> Labels:
        return measured_D.astype(np.uint16)  # type: ignore[return-value]


class Fitted(Short):
    """It needs in a run what it learned before."""

    def fit(self, documents: CorpusText, rng: Rng) -> None:
        self.mean = 1.0

    def score(self, labels: Array) -> Array:
        return super().score(labels) - self.mean


class Named(Short):
    name = "my agent"


class Flagged(Short):
    moves = 1  # type: ignore[assignment]


def test_it_leaves_the_agent_and_global_generators_alone(tiny_corpus: Corpus) -> None:
    agent = Short()
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    check_agent(agent, tiny_corpus)
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    assert before == after
    assert vars(agent) == {}


FAULTS = [
    (Short, r"is no agent; give an object, not the class: Short\(\)"),
    (Named, "has the name 'my agent', expected letters"),
    (type("Null", (Short,), {"name": "null"}), "Null has the name 'null', which the shipped agent has; take another"),
    (Flagged, "agent 'short': moves is 1, expected True or False"),
    (Uncopied, r"cannot be copied \(TypeError: .*lock.*make files, locks and models in fit or start"),
    (Unlabelled, "'unheard-of' needs labels, and the corpus has none of that name, only domain.*define `measure`"),
    (measuring(lambda found, batch: found[:, None]), r"measured an array of shape \((\d+), 1\) of a batch of \1 doc"),
    (measuring(lambda found, batch: np.stack([found] * 3, 1)), r"an array of shape \(\d+, 3\) of a batch of"),
    (measuring(lambda found, batch: None), "measured None of a batch of"),
    (measuring(lambda found, batch: ["good"] * len(found)), "measured good of document 0, expected a real number"),
    (measuring(lambda found, batch: found * 1j), r"measured .*j\)? of document 0, expected a real number"),
    (measuring(lambda found, batch: [[0.0] * (i % 3) for i in range(len(found))]), "lists of different lengths"),
    (measuring(lambda found, batch: found * 0), "gives all training documents the category 'lowest to highest'"),
    (measuring(lambda found, batch: found * np.inf), "an infinite number of document 0: it divides by zero"),
    (measuring(lambda found, batch: found * np.nan), "measured NaN of every training document"),
    (measuring(lambda found, batch: found - found.mean()), r"document 0, and 0 in another batch.*rest of the batch"),
    (Counting, "in another batch: measure must not look at the rest of the batch or count calls"),
    (NotLabels, r"annotate gave ndarray, expected Labels\("),
    (annotating(column=lambda column: column.astype(np.int64)), r"labels are int64, expected uint16: use .astype"),
    (annotating(column=lambda column: column.tolist()), "labels are list, expected uint16"),
    (
        annotating(column=lambda column: column[:-1]),
        r"have shape \(\d+,\), expected \(\d+,\): one a document",
    ),
    (annotating(column=lambda column: column - np.uint16(1)), "up to 65535, expected below 2.*a -1 for 'missing'"),
    (annotating(names=lambda column: ("a", "a")), r"names are \('a', 'a'\), expected distinct strings"),
    (annotating(values=lambda column: (1.0, np.nan)), "values are .*nan.*a mean over an empty category is NaN"),
    (annotating(values=lambda column: (1.0,)), "expected None or one finite number for each of 2 categories"),
    (annotating(values=lambda column: None), "is static and its categories have no values: set `moves = True`"),
    (fitting(lambda documents: random.random()), "other labels when it was fitted again: it draws from a global"),
    (fitting(lambda documents: float(np.random.rand())), "other labels when it was fitted again"),  # noqa: NPY002
    (fitting(lambda documents: float(torch.rand(()))), "other labels when it was fitted again"),
    (fitting(lambda documents: float(np.random.default_rng().random())), "other labels when it was fitted again"),
    (fitting(lambda documents: threading.Lock()), r"cannot be sent to other processes once fitted \(TypeError"),
    (Fitted, "score_cells reads self.mean, which it does not have: the agent of a run is a new one"),
]


@pytest.mark.parametrize(("kind", "message"), FAULTS)
def test_faults_are_told_with_their_cause(tiny_corpus: Corpus, kind: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        check_agent(kind if kind is Short else kind(), tiny_corpus)
    assert "\n" not in str(error.value)
