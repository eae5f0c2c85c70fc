"""UsedText: which text of its corpus a run has used, document by document, so that another corpus can take it over."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...lm.io.state import State, json_as_array, json_in_array
from .task import Task


@dataclass(frozen=True)
class UsedText:
    """The D training documents that have tokens, in the order of the cell index. key_D: hashes of their text; number_D:
    their numbers in the corpus; windows_D: how many windows each has; times_W: how often each window has been used, one
    document's after another's. frame: what another corpus must share: context and tokenizer, and the names of agents
    and reference tasks; categories: names, by label column.

    20 bytes a document and one a window."""

    key_D: NDArray[np.uint64]
    number_D: NDArray[Any]
    windows_D: NDArray[Any]
    times_W: NDArray[Any]
    frame: dict[str, Any]
    categories: dict[str, list[str]]

    @classmethod
    def of(cls, task: Task, times_W: NDArray[Any]) -> "UsedText":
        """Of a run on `task` that has used each window so often. Reads the corpus's text when first called."""
        number_D, _, windows_D = task.cells.documents()
        return cls(
            task.corpus.texts.keys[number_D],
            np.asarray(number_D, np.int64),
            windows_D.astype(np.int32),
            times_W,
            frame_of(task),
            {name: list(labels.names) for name, labels in task.layout.columns.items()},
        )

    def state_dict(self) -> State:
        """As arrays."""
        about = {"frame": self.frame, "categories": self.categories}
        arrays = {"key": self.key_D, "number": self.number_D, "windows": self.windows_D, "times": self.times_W}
        return {**arrays, "about": json_as_array(about)}

    @classmethod
    def of_state(cls, state: Mapping[str, NDArray[Any]]) -> "UsedText":
        """What `state_dict` was taken of."""
        return cls(state["key"], state["number"], state["windows"], state["times"], **json_in_array(state["about"]))


def frame_of(task: Task) -> dict[str, Any]:
    """What a run needs to find again in a changed corpus."""
    return {
        "context": task.context,
        "tokenizer": task.corpus.tokenizer_hash[:16],
        "agents": list(task.agents),
        "reference tasks": list(task.reference_tasks),
        "label columns": list(task.layout.columns),
    }
