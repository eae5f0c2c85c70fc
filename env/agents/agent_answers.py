"""What agents answer: what their own code raises, or gives in the wrong shape, is one line that names the agent."""

import inspect
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from ...lm.corpus.corpus import Labels
from ...lm.io.errors import InputError, in_one_line
from ..text.corpus_text import TextBatch
from .base import Agent, Array, LabelAgent


@contextmanager
def naming_agent_errors(agent: Agent, method: str) -> Iterator[None]:
    """Inside, an exception of the agent's own code is an InputError that tells the agent, the method and the line."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"agent '{agent.name}' failed in {method}: {type(error).__name__}: {in_one_line(error)} "
            f"({_place(agent, error)}); try it with pretraingym.env.check_agent"
        ) from error


def measured(agent: LabelAgent, batch: TextBatch) -> Array:
    """What the agent measures of each of the batch's D documents, (D,). InputError: not one real number or NaN each."""
    name, count = f"agent '{agent.name}'", len(batch.texts)
    found = _as_array(agent.measure(batch), name)
    if found.shape != (count,):
        raise InputError(
            f"{name} measured {_shape(found)} of a batch of {count} documents, expected ({count},): measure gives one "
            "number a document, in their order"
        )
    if found.dtype.kind not in "fiub":
        raise InputError(f"{name} measured {str(found[0])[:40]} of document {batch.first}, expected a real number")
    values = found.astype(np.float64)
    if np.isinf(values).any():
        raise InputError(
            f"{name} measured an infinite number of document {batch.first + int(np.isinf(values).argmax())}: it "
            "divides by zero or takes the log of 0; NaN means unknown"
        )
    return values


def scored(agent: Agent, method: str, labels: NDArray[np.uint16], num_runs: int) -> Array:
    """What the agent's `score` or `score_cells` gives of M cells or documents in each run, (N, M). InputError: it fails
    or has another shape."""
    with naming_agent_errors(agent, method):
        scores = np.asarray(getattr(agent, method)(labels), np.float64)
    if scores.shape != (expected := (num_runs, len(labels))):
        raise InputError(
            f"agent '{agent.name}': {method} gave {_shape(scores)}, expected {expected}: one row a run, one column a "
            "cell or document; try it with pretraingym.env.check_agent"
        )
    return scores


def alike(labels: Labels, train: range) -> bool:
    """Whether all training documents have one category, so that the agent cannot prefer any of them."""
    column = labels.column[train.start : train.stop]
    return bool((column == column[0]).all())


def _as_array(values: object, name: str) -> NDArray:
    try:
        return np.asarray(values)
    except ValueError:  # rows of different lengths
        raise InputError(f"{name} measured lists of different lengths, expected one number a document") from None


def _shape(values: NDArray) -> str:
    return f"an array of shape {values.shape}" if values.ndim else str(values)[:40]


def _place(agent: Agent, error: BaseException) -> str:
    """File and line of the innermost frame in the agent's own module, or of the innermost one."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == inspect.getsourcefile(type(agent))] or frames
    return f"{own[-1].filename}:{own[-1].lineno}"
