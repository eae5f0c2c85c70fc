"""Labelling a corpus: agents are fitted on a sample, then read all documents once, batch by batch, on all cores."""

import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ...lm.cores import usable_cores
from ...lm.corpus.corpus import Labels
from ...lm.corpus.texts import Texts
from ...lm.corpus.token_set import batches
from ..text.corpus_text import CorpusText, TextBatch
from .agent_answers import alike, measured, naming_agent_errors
from .base import LabelAgent

BATCH_BYTES = 2_000_000  # of text: several batches are in memory at once, one in each process


def label_corpus(
    texts: Texts,
    splits: dict[str, range],
    domain: Labels,
    progress: Callable[[float], None] | None = None,
    *,
    agents: Sequence[LabelAgent],
    seed: int = 0,
) -> dict[str, Labels]:
    """One label column an agent, over all documents in all splits. progress: is called with the share of the documents
    that are measured. Each agent has random numbers of its own, so that adding an agent changes no other's labels.
    Memory: the sample, some batches, and eight bytes a document and agent."""
    documents = CorpusText(texts, splits, domain.column)
    for agent in agents:
        key = int.from_bytes(hashlib.sha256(agent.name.encode()).digest()[:4], "big")
        with naming_agent_errors(agent, "fit"):
            agent.fit(documents, np.random.default_rng([seed, key]))
    measured_AD = np.zeros((len(agents), len(texts)))
    for values, batch in _measure_all(agents, documents):
        measured_AD[:, batch.start : batch.stop] = values
        if progress:
            progress(batch.stop / len(texts))
    return {agent.name: _annotated(agent, values, documents) for agent, values in zip(agents, measured_AD, strict=True)}


def _annotated(agent: LabelAgent, measured_D: NDArray[np.float64], documents: CorpusText) -> Labels:
    with naming_agent_errors(agent, "annotate"):
        labels = agent.annotate(measured_D, documents)
    if alike(labels, documents.train):
        warnings.warn(
            f"agent '{agent.name}' gives all training documents one category: it cannot prefer any of them, and its "
            "weight selects nothing. Leave it out of --agents, or label a corpus in which it tells documents apart",
            stacklevel=2,
        )
    return labels


def _measure_all(agents: Sequence[LabelAgent], documents: CorpusText) -> Iterator[tuple[NDArray[np.float64], range]]:
    """For each batch, in order: what the agents measured, (agents, D), and the range of its documents. Agents run in
    processes of their own, except those that use all cores by themselves, and where the corpus is one batch."""
    parts = list(batches(documents.texts, BATCH_BYTES))
    elsewhere = [index for index, agent in enumerate(agents) if not agent.uses_all_cores]
    here = [index for index, agent in enumerate(agents) if agent.uses_all_cores]
    given = (([agents[index] for index in elsewhere], documents.batch(part)) for part in parts)
    values_elsewhere: Iterator[NDArray[np.float64]]
    if not elsewhere or len(parts) == 1 or usable_cores() == 1:
        values_elsewhere = (_measure(*arguments) for arguments in given)
    else:
        from joblib import Parallel, delayed  # its workers do not run the caller's main module again

        jobs = Parallel(usable_cores(), return_as="generator", batch_size=1, max_nbytes=None)
        values_elsewhere = jobs(delayed(_measure)(*arguments) for arguments in given)
    for part, values in zip(parts, values_elsewhere, strict=True):
        found = np.zeros((len(agents), len(part)))
        found[elsewhere] = values
        if here:
            found[here] = _measure([agents[index] for index in here], documents.batch(part))
        yield found, part


def _measure(agents: Sequence[LabelAgent], batch: TextBatch) -> NDArray[np.float64]:
    """What the agents measured, (agents, D)."""
    found = np.zeros((len(agents), len(batch.texts)))
    for own_D, agent in zip(found, agents, strict=True):
        with naming_agent_errors(agent, "measure"):
            own_D[:] = measured(agent, batch)
    return found
