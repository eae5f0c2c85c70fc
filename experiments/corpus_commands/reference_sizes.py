"""Whether a reference task has documents enough: the error with which a gain is measured on each of its parts."""

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from ...lm.corpus.corpus import REFERENCE_PARTS, Corpus, reference_split
from ...lm.corpus.windows import count_parts

CONTEXT = 32  # tokens of a window, as proxies have by default
# Nats per token, of the loss under natural less that under the lift rule: the standard deviation of what all windows of
# a document share, and of what is a window's own. Root mean squares over six reference tasks, whose own are .10 to .34
# and .15 to .45 and rise with the task's gain (experiments/results/2026-11-30-document-noise).
DOCUMENT_SD, WINDOW_SD = 0.21, 0.31
GOAL = 0.02  # nats: with it a gain of .04 or more is told from none; policies gain .05 to .3 over natural
PURPOSES = {"validation": "validation", "trial": "trials", "test": "the test"}


@dataclass(frozen=True)
class TaskSize:
    """documents: of each part, and error: the standard error, in nats per token, of a gain that all windows of the part
    measure; enough: documents in all, of the same lengths, with which each error would be GOAL or less."""

    task: str
    documents: dict[str, int]
    error: dict[str, float]

    @property
    def is_small(self) -> bool:
        """Whether a part has fewer documents than would do."""
        return max(self.error.values()) > GOAL

    @property
    def enough(self) -> int:
        return ceil(sum(self.documents.values()) * (max(self.error.values()) / GOAL) ** 2)

    def __str__(self) -> str:
        numbers = [f"{number:,} for {PURPOSES[part]}" for part, number in self.documents.items()]
        numbers[0] = numbers[0].replace(" for", " documents for")
        errors = ", ".join(f"{error:.3f}" for error in self.error.values())
        line = (
            f"reference task '{self.task}' has {', '.join(numbers)}; a gain measured on these has a standard "
            f"error of {errors} nats"
        )
        if not self.is_small:
            return line
        return f"{line}; {_rounded(self.enough):,} documents like these, in all, would make it at most {GOAL:.2f}"


def task_sizes(corpus: Corpus) -> list[TaskSize]:
    """The size of each reference task of the corpus."""
    found = []
    for task in corpus.reference_tasks:
        splits = {part: corpus.splits[reference_split(task, part)] for part in REFERENCE_PARTS}
        offsets = {part: corpus.token_offsets[split.start : split.stop + 1] for part, split in splits.items()}
        error = {part: gain_error(count_parts(np.diff(of_part), CONTEXT)) for part, of_part in offsets.items()}
        found.append(TaskSize(task, {part: len(split) for part, split in splits.items()}, error))
    return found


def size_warnings(corpus: Corpus) -> list[str]:
    """A line for each reference task with too few documents, and one line for all practice tasks."""
    small = [size for size in task_sizes(corpus) if size.is_small]
    lines = [str(size) for size in small if size.task not in corpus.practice]
    practice = [size for size in small if size.task in corpus.practice]
    if practice:
        numbers = sorted({sum(size.documents.values()) for size in practice})
        told = f"{numbers[0]:,}" if len(numbers) == 1 else f"{numbers[0]:,} to {numbers[-1]:,}"
        error = f"has a standard error of up to {max(max(size.error.values()) for size in practice):.3f} nats"
        if len(practice) == 1:
            line = f"1 practice task has {told} documents; a gain measured on it {error}: learn on it, and compare "
            lines.append(line + "policies on others")
        else:
            line = f"{len(practice)} practice tasks have {told} documents each; a gain measured on one of them {error}"
            lines.append(f"{line}: learn on them, and compare policies on others, or on many of them together")
    return lines


def gain_error(windows_D: NDArray[np.int64]) -> float:
    """The standard error of the mean gain over all windows of documents that have so many each, (D,): the variance that
    the windows of a document share counts once a document, that of its own once a window."""
    total = max(int(windows_D.sum()), 1)
    shared = float(np.square(windows_D / total).sum())
    return (DOCUMENT_SD**2 * shared + WINDOW_SD**2 / total) ** 0.5


def _rounded(number: int) -> int:
    """Up to two leading digits, as an estimate has them."""
    unit = 10 ** max(0, len(str(number)) - 2)
    return -(-number // unit) * unit
