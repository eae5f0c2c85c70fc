"""How many documents a reference task needs: the formula against simulated gains, and the lines that tell it."""

from pathlib import Path

import numpy as np
import pytest

from pretraingym.experiments.corpus_commands.practice import practice_names
from pretraingym.experiments.corpus_commands.reference_sizes import (
    DOCUMENT_SD,
    GOAL,
    WINDOW_SD,
    TaskSize,
    gain_error,
    size_warnings,
    task_sizes,
)
from pretraingym.lm.corpus.corpus import PRACTICE_WORDS, REFERENCE_PARTS, Corpus
from pretraingym.lm.ingest.build import build_corpus
from pretraingym.lm.ingest.documents import Document


def test_the_error_is_that_of_gains_that_differ_by_document_and_window() -> None:
    rng = np.random.default_rng(0)
    windows = rng.integers(1, 30, 40)
    of_document = rng.normal(0, DOCUMENT_SD, (4000, 40))
    sums = of_document * windows + rng.normal(0, WINDOW_SD, (4000, 40)) * np.sqrt(windows)
    assert (sums.sum(1) / windows.sum()).std() == pytest.approx(gain_error(windows), rel=0.05)


def test_as_many_documents_as_are_named_would_do() -> None:
    """Longer documents tell more, but not as much as more of them."""
    few = np.full(25, 3)
    size = TaskSize("t", {"test": 25}, {"test": gain_error(few)})
    assert size.is_small
    assert gain_error(np.full(size.enough, 3)) <= GOAL < gain_error(np.full(size.enough - 1, 3))
    assert gain_error(few) / 2 == pytest.approx(gain_error(np.repeat(few, 4)))
    assert gain_error(few) / 2 < gain_error(few * 4) < gain_error(few)


def corpus_of(folder: Path, documents: int, practice: int = 0) -> Corpus:
    """With the task "t", or practice tasks, each of so many documents a part."""
    text = "many words that are read as several windows of tokens each " * 10
    tasks = practice_names(practice) or ("t",)
    splits = {
        f"{task}/{part}": [Document(f"{text}{part} {i}", task) for i in range(documents)]
        for task in tasks
        for part in REFERENCE_PARTS
    }
    about = {PRACTICE_WORDS: dict.fromkeys(practice_names(practice), "words")}
    return build_corpus(folder, {"train": [Document("text of training", "d")], **splits}, tasks, 260, about=about)


def test_small_tasks_are_told_and_large_ones_are_not(tmp_path: Path) -> None:
    (line,) = size_warnings(corpus_of(tmp_path / "small", 2))
    assert line.startswith("reference task 't' has 2 documents for validation, 2 for trials, 2 for the test; a gain m")
    assert line.endswith(f" documents like these, in all, would make it at most {GOAL:.2f}")
    large = corpus_of(tmp_path / "large", 200)
    assert size_warnings(large) == []
    (size,) = task_sizes(large)
    assert str(size).startswith("reference task 't' has 200 documents for validation, 200 for trials, 200 for the test")
    assert str(size).endswith(" nats")


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (1, "1 practice task has 3 documents; a gain measured on it has a standard error of up to 0."),
        (2, "2 practice tasks have 3 documents each; a gain measured on one of them has a standard error of up to 0."),
    ],
)
def test_practice_tasks_have_one_line(tmp_path: Path, number: int, line: str) -> None:
    (found,) = size_warnings(corpus_of(tmp_path / "c", 1, number))
    assert found.startswith(line)
    ends = {
        1: "it, and compare policies on others",
        2: "them, and compare policies on others, or on many of them together",
    }
    assert found.endswith(f" nats: learn on {ends[number]}")
