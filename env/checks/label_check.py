"""The check of an agent that labels text: its categories are valid and depend on the text alone."""

import copy
import pickle
from collections.abc import Iterable, Iterator

import numpy as np

from ...lm.corpus.corpus import Labels
from ...lm.corpus.token_set import batches
from ...lm.io.errors import InputError
from ..agents.agent_answers import alike, measured
from ..agents.base import Array, LabelAgent
from ..agents.labelling import BATCH_BYTES
from ..text.corpus_text import CorpusText
from .global_seeds import global_seeds

SLACK = 1e-4  # of the spread of what was measured: sums over batches of other sizes round differently


def checked_labels(agent: LabelAgent, documents: CorpusText) -> Labels:
    """The labels that a copy of `agent` gives to all documents. InputError: the first fault."""
    fitted, measured_D, labels = _labelled(agent, documents, 1)
    _check_labels(agent, labels, documents)
    again = _labelled(agent, documents, 2)[2]
    if not (again.names, again.values) == (labels.names, labels.values) or not np.array_equal(
        again.column, labels.column
    ):
        raise InputError(
            f"agent '{agent.name}' gave other labels when it was fitted again: it draws from a global generator "
            "(random, numpy.random, torch) or an unseeded one; draw from the `rng` that fit is given"
        )
    _check_batches(_as_sent(fitted), documents, measured_D)
    return labels


def _labelled(agent: LabelAgent, documents: CorpusText, seed: int) -> tuple[LabelAgent, Array, Labels]:
    """A fitted copy, what it measured (D,), and its labels, with the global generators seeded by `seed`."""
    fitted = copy.deepcopy(agent)
    with global_seeds(seed):
        fitted.fit(documents, np.random.default_rng(0))
        measured_D = _measure(fitted, documents, batches(documents.texts, BATCH_BYTES))
        train = measured_D[documents.train.start : documents.train.stop]
        if np.isnan(train).all():
            raise InputError(
                f"agent '{agent.name}' measured NaN of every training document: NaN is for the few documents "
                "that have no number"
            )
        return fitted, measured_D, fitted.annotate(measured_D.copy(), documents)


def _measure(agent: LabelAgent, documents: CorpusText, parts: Iterable[range]) -> Array:
    """What the fitted agent measures of all documents, (D,), read in these batches."""
    measured_D = np.zeros(len(documents.texts))
    for part in parts:
        measured_D[part.start : part.stop] = measured(agent, documents.batch(part))
    return measured_D


def _check_labels(agent: LabelAgent, labels: Labels, documents: CorpusText) -> None:
    name, num_documents = f"agent '{agent.name}'", len(documents.texts)
    if not isinstance(labels, Labels):
        raise InputError(f"{name}: annotate gave {type(labels).__name__}, expected Labels(names, values, column)")
    column = labels.column
    if not isinstance(column, np.ndarray) or column.dtype != np.uint16:
        given = column.dtype if isinstance(column, np.ndarray) else type(column).__name__
        raise InputError(f"{name}: labels are {given}, expected uint16: use .astype(np.uint16)")
    if column.shape != (num_documents,):
        raise InputError(
            f"{name}: labels have shape {column.shape}, expected ({num_documents},): one a document, of all splits and "
            "not of the training text alone; give those without a value a category of their own"
        )
    names = labels.names
    if len(set(names)) != len(names) or not all(isinstance(each, str) and each for each in names):
        raise InputError(f"{name}: category names are {names}, expected distinct strings that are not empty")
    if column.max() >= len(names):
        raise InputError(
            f"{name}: labels go up to {column.max()}, expected below {len(names)}, the number of names: they count "
            "from 0, and a -1 for 'missing' wraps around to 65535"
        )
    if alike(labels, documents.train):
        category = names[column[documents.train.start]]
        raise InputError(
            f"{name} gives all training documents the category '{category}': it cannot prefer any of them; "
            "measure what differs between documents, or check it on a corpus in which it does"
        )
    values = labels.values
    if values is not None and not (len(values) == len(names) and np.isfinite(np.asarray(values, np.float64)).all()):
        raise InputError(
            f"{name}: values are {values}, expected None or one finite number for each of {len(names)} categories: a "
            "mean over an empty category is NaN"
        )
    if values is None and not agent.moves and type(agent).start is LabelAgent.start:
        raise InputError(f"{name} is static and its categories have no values: set `moves = True`, or give values")


def _as_sent(agent: LabelAgent) -> LabelAgent:
    """The fitted agent as another process receives it."""
    if agent.uses_all_cores:
        return agent
    # These bytes are made in the line that reads them: nothing from a file or a network is unpickled.
    from joblib import wrap_non_picklable_objects  # as joblib's workers get them

    try:
        copied: LabelAgent = pickle.loads(pickle.dumps(wrap_non_picklable_objects(agent, keep_wrapper=False)))
    except Exception as error:
        raise InputError(
            f"agent '{agent.name}' cannot be sent to other processes once fitted ({type(error).__name__}: {error}): "
            "keep no open file, lock or generator, or set `uses_all_cores = True`"
        ) from error
    return copied


def _check_batches(agent: LabelAgent, documents: CorpusText, measured_D: Array) -> None:
    """Measure all documents once more in other batches, and compare."""
    with global_seeds(1):
        found = _measure(agent, documents, _growing(len(documents.texts)))
    same = np.isclose(found, measured_D, rtol=SLACK, atol=SLACK * float(np.nanstd(measured_D)), equal_nan=True)
    if not same.all():
        worst = int(np.argmin(same))
        raise InputError(
            f"agent '{agent.name}' measured {measured_D[worst]:.6g} of document {worst}, and {found[worst]:.6g} in "
            "another batch: measure must not look at the rest of the batch or count calls; learn what it needs in fit"
        )


def _growing(num_documents: int) -> Iterator[range]:
    """Batches of 1, 2, 3, ... documents."""
    start = size = 0
    while start < num_documents:
        size += 1
        yield range(start, min(start + size, num_documents))
        start += size
