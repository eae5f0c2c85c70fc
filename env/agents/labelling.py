"""Labelling a corpus: agents are fitted on a sample, then read all documents once, batch by batch, on all cores."""

import hashlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ...lm.cores import usable_cores
from ...lm.corpus.corpus import Labels
from ...lm.corpus.texts import Texts
from ...lm.corpus.token_set import batches
from ...lm.io.errors import InputError
from ..text.corpus_text import CorpusText, TextBatch
from .base import LabelAgent

BATCH_BYTES = 2_000_000  # of text: a batch lives in one process, and several are under way


def label_corpus(
    texts: Texts,
    splits: dict[str, range],
    domain: Labels,
    progress: Callable[[float], None] | None = None,
    *,
    agents: Sequence[LabelAgent],
    seed: int = 0,
) -> dict[str, Labels]:
    """One label column an agent, over all documents in all splits. Each agent has its own random numbers, so that
    adding one changes no other. Memory: the sample, some batches, and eight bytes a document and agent."""
    documents = CorpusText(texts, splits, domain.column)
    for agent in agents:
        key = int.from_bytes(hashlib.sha256(agent.name.encode()).digest()[:4], "big")
        agent.fit(documents, np.random.default_rng([seed, key]))
    measured = np.zeros((len(agents), len(texts)))
    for values, batch in _measure_all(agents, documents):
        measured[:, batch.start : batch.stop] = values
        if progress:
            progress(batch.stop / len(texts))
    return {agent.name: agent.annotate(values, documents) for agent, values in zip(agents, measured, strict=True)}


def _measure_all(agents: Sequence[LabelAgent], documents: CorpusText) -> Iterator[tuple[NDArray[np.float64], range]]:
    """(what the agents measured (A, B), documents) of each batch, in order; in processes of their own, but for agents
    that use all cores by themselves and for a corpus of one batch."""
    parts = list(batches(documents.texts, BATCH_BYTES))
    apart = [index for index, agent in enumerate(agents) if not agent.uses_all_cores]
    here = [index for index, agent in enumerate(agents) if agent.uses_all_cores]
    given = (([agents[index] for index in apart], documents.batch(part)) for part in parts)
    values_apart: Iterator[NDArray[np.float64]]
    if not apart or len(parts) == 1 or usable_cores() == 1:
        values_apart = (_measure(*arguments) for arguments in given)
    else:
        from joblib import Parallel, delayed  # its workers do not run the caller's main module again

        jobs = Parallel(usable_cores(), return_as="generator", batch_size=1, max_nbytes=None)
        values_apart = jobs(delayed(_measure)(*arguments) for arguments in given)
    for part, values in zip(parts, values_apart, strict=True):
        found = np.zeros((len(agents), len(part)))
        found[apart] = values
        if here:
            found[here] = _measure([agents[index] for index in here], documents.batch(part))
        yield found, part


def _measure(agents: Sequence[LabelAgent], batch: TextBatch) -> NDArray[np.float64]:
    found = np.zeros((len(agents), len(batch.texts)))
    for row, agent in zip(found, agents, strict=True):
        values = np.asarray(agent.measure(batch), np.float64)
        if values.shape != row.shape:
            raise InputError(
                f"agent '{agent.name}' measured {values.shape} numbers, expected {row.shape}: one a document"
            )
        if np.isinf(values).any():
            worst = batch.first + int(np.flatnonzero(np.isinf(values))[0])
            raise InputError(
                f"agent '{agent.name}' measured an infinite number of document {worst}, expected finite ones"
            )
        row[:] = values
    return found
