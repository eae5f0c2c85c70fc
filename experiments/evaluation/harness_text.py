"""Tasks of EleutherAI's lm-evaluation-harness (the extra `eval`) as plain text: questions with their right answers."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ...lm.io.errors import InputError, in_one_line
from ...lm.records.record import Record

SPLITS = ("training", "validation", "test")  # as the harness calls them


def benchmark_records(name: str) -> Iterator[Record]:
    """A record for each document of a task of the harness, or of all tasks of a group or tag; name: also the path of a
    task's YAML file. Its text is the question as the harness asks it, and the right answer. The split that the task is
    scored on is left out where it has others, so that its scores stay those of unseen questions. InputError: there is
    no such task, or its data cannot be read, as without a network."""
    for task_name, task in _tasks(name).items():
        splits = _splits(task)
        if not splits:
            raise InputError(f"benchmark '{task_name}' has no documents; name another task")
        for split in splits:
            try:
                documents: Iterable[Any] = getattr(task, f"{split}_docs")()
                for number, document in enumerate(documents, 1):
                    place = f"{task_name} {split} document {number}"
                    yield Record(place, task_name, {"text": _text(task, document)})
            except Exception as error:  # noqa: BLE001 - a task's own code may raise anything
                raise InputError(f"benchmark '{task_name}' cannot be read as text: {in_one_line(error)}") from None


def _tasks(name: str) -> dict[str, Any]:
    from .harness import require_harness

    require_harness()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    from lm_eval.tasks import TaskManager

    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            # A file of the user is read without the index of all that the harness knows, which takes seconds.
            tasks: dict[str, Any] = TaskManager(include_defaults=not Path(name).is_file()).load([name])["tasks"]
    except KeyError as error:
        if "not a registered task" in str(error):
            raise InputError(
                f"lm-evaluation-harness has no task '{name}'; `lm_eval ls tasks` lists them, or name a YAML file"
            ) from None
        raise InputError(_unreadable(name, error)) from None
    except Exception as error:  # noqa: BLE001 - of datasets, of the network, or of the task's own code
        raise InputError(_unreadable(name, error)) from None
    return tasks


def _unreadable(name: str, error: BaseException) -> str:
    return (
        f"benchmark '{name}' cannot be loaded: {in_one_line(error)}; its data come from the network unless `datasets` "
        "has them in its cache: load it where there is one, or give its text as files"
    )


def _splits(task: Any) -> list[str]:
    """The splits to read."""
    there = [split for split in SPLITS if getattr(task, f"has_{split}_docs")()]
    scored = "test" if "test" in there else "validation"
    unseen = [split for split in there if split != scored]
    if there and not unseen:
        warnings.warn(
            f"benchmark '{task.config.task}' has documents of its {scored} split alone, on which it is scored: a model "
            "whose text was chosen for them is not scored on unseen ones",
            stacklevel=2,
        )
    return unseen or there


def _text(task: Any, document: Any) -> str:
    """The question and the right answer of a document."""
    query, answer = task.doc_to_text(document), task.doc_to_target(document)
    if isinstance(query, int):  # the choices are beginnings, and this is the right one, as in winogrande
        query = task.doc_to_choice(document)[query]
    elif isinstance(answer, list) and answer:  # several are right
        answer = answer[0]
    if isinstance(answer, int) and not isinstance(answer, bool) and task.config.doc_to_choice is not None:
        answer = task.doc_to_choice(document)[answer]
    return f"{query}{task.config.target_delimiter}{answer}" if query else str(answer)
