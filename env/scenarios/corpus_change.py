"""CorpusChange: a run goes on after its corpus was built anew with other documents."""

import numpy as np
from numpy.typing import NDArray

from ...lm.corpus.corpus import TRAIN
from ...lm.corpus.windows import PART_BITS
from ...lm.io.errors import InputError
from ..agents.base import Relabelling
from .task import Task
from .used_text import UsedText, frame_of

Ids = NDArray[np.int64]
CURES = {  # by what a run needs to find again, as in `frame_of`
    "context": "give the Task the context of before",
    "tokenizer": "build it with --tokenizer and the folder of the old one",
    "agents": "build it with the same --agents and --columns, or give the Task the agents of before",
    "reference tasks": "build it with the same --reference",
    "label columns": "build it with the same --agents and --columns",
}


class CorpusChange:
    """From the corpus that a run began on to the one of `task`. Documents are known again by their text. What the run
    has used of them stays used, also where their labels have changed; what is new is unused. In a cell the windows that
    were used least come first. So no window is drawn again before all unused ones of its cell have been drawn, but the
    order of the windows is another than it would have been in either corpus.

    times_W: how often each window of the new corpus has been used, by number in its index; used_C, drawn_C: the windows
    that were drawn so, and their tokens, by cell; kept, added, removed: how many training documents.

    InputError: another tokenizer, context, agents, label columns or reference tasks; documents that the run was trained
    on are reference text now; or documents were removed, unless `drop_removed`."""

    def __init__(self, before: UsedText, task: Task, drop_removed: bool = False) -> None:
        self.before = before
        self._check_frame(task)
        self._check_reference(task)
        number_D, _, windows_D = task.cells.documents()
        self._new_number_D, self._columns = number_D, task.layout.columns
        self._place_D = _places(before.key_D, task.corpus.texts.keys[number_D])  # in the new index, -1: removed
        kept_D = self._place_D >= 0
        self.kept, self.removed = int(kept_D.sum()), int((~kept_D).sum())
        self.added = len(number_D) - self.kept
        if self.removed and not drop_removed:
            raise InputError(
                f"{task.corpus.path} lacks {self.removed} of the {len(kept_D)} training documents of the corpus that "
                "this began with: build it with all of them, or give drop_removed=True (--drop-removed) to go on "
                "without them"
            )
        if (windows_D[self._place_D[kept_D]] != before.windows_D[kept_D]).any():
            raise InputError(f"{task.corpus.path} has other tokens of the same documents: build it with the same ones")
        self.times_W = self._times(windows_D, kept_D)
        ids_W = task.cells.window_ids(np.arange(len(self.times_W)))
        self.used_C = np.add.reduceat(self.times_W, task.cells.first_C, dtype=np.int64)
        self.drawn_C = np.add.reduceat(self.times_W * task.windows.lengths(ids_W), task.cells.first_C)

    @property
    def told(self) -> str:
        """A line for the user."""
        dropped = f", {self.removed} documents are gone" if self.removed else ""
        return (
            f"going on with a changed corpus: {self.added} documents are new{dropped}, {self.kept} stay as used as "
            "they were; the order of the windows is a new one. To train on the new corpus alone, start anew in another "
            "folder"
        )

    def ids(self, ids: Ids) -> Ids:
        """Window ids of the corpus before, of any shape, as ids of the new corpus, -1 for windows that are gone."""
        order = np.argsort(self.before.number_D)
        numbers = self.before.number_D[order].astype(np.int64)
        place = self._place_D[order[np.searchsorted(numbers, ids >> PART_BITS)]]
        moved = self._new_number_D[place].astype(np.int64) << PART_BITS | ids & ((1 << PART_BITS) - 1)
        return np.where(place >= 0, moved, -1)

    def relabelling(self, epochs_NC: NDArray[np.float64]) -> Relabelling:
        """What the agents are told. Categories are known again by their names."""
        before = {}
        for label, column in self._columns.items():
            place = {name: number for number, name in enumerate(self.before.categories[label])}
            before[label] = np.array([place.get(name, -1) for name in column.names], np.intp)
        return Relabelling(before, {name: len(names) for name, names in self.before.categories.items()}, epochs_NC)

    def _times(self, windows_D: NDArray[np.int64], kept_D: NDArray[np.bool_]) -> NDArray[np.integer]:
        windows = self.before.windows_D[kept_D].astype(np.int64)
        first_before = np.cumsum(self.before.windows_D, dtype=np.int64)[kept_D] - windows
        first = (np.cumsum(windows_D) - windows_D)[self._place_D[kept_D]]
        within = np.arange(windows.sum()) - np.repeat(np.cumsum(windows) - windows, windows)
        times_W = np.zeros(windows_D.sum(), self.before.times_W.dtype)
        times_W[np.repeat(first, windows) + within] = self.before.times_W[np.repeat(first_before, windows) + within]
        return times_W

    def _check_frame(self, task: Task) -> None:
        for name, now in frame_of(task).items():
            if (before := self.before.frame[name]) != now:
                was, is_now = (", ".join(some) if isinstance(some, list) else some for some in (before, now))
                raise InputError(f"{name} of {task.corpus.path} is {is_now}, before it was {was}: {CURES[name]}")

    def _check_reference(self, task: Task) -> None:
        """InputError: text that was trained on is reference text now."""
        used_D = np.add.reduceat(
            self.before.times_W, np.cumsum(self.before.windows_D, dtype=np.int64) - self.before.windows_D
        )
        train = task.corpus.splits[TRAIN]
        reference = np.delete(task.corpus.texts.keys, np.s_[train.start : train.stop])
        if seen := int(np.isin(self.before.key_D[used_D > 0], reference).sum()):
            raise InputError(
                f"{seen} documents that this was trained on are reference text in {task.corpus.path}: build it with "
                "the same --reference and --hold-out as the corpus before"
            )


def _places(key_D: NDArray[np.uint64], among: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Where each key stands in `among`, -1 where it does not; of equal keys the first is the first, and so on."""
    order, theirs = np.argsort(key_D, kind="stable"), np.argsort(among, kind="stable")
    mine, sorted_among = key_D[order], among[theirs]
    nth = np.arange(len(mine)) - np.searchsorted(mine, mine, "left")
    place = np.searchsorted(sorted_among, mine, "left") + nth
    inside = place < len(among)
    inside[inside] = sorted_among[place[inside]] == mine[inside]
    places = np.full(len(key_D), -1, np.intp)
    places[order[inside]] = theirs[place[inside]]
    return places
