"""Multiple-choice questions from a folder of .jsonl files, checked line by line."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...lm.io.errors import InputError
from ...lm.io.files import nearest

FIELDS = ("query", "choices", "gold")
SHAPE = 'one JSON object a line: "query" (text), "choices" (two texts or more), "gold" (index of the right one)'


@dataclass(frozen=True)
class Questions:
    """by_file: each question a dictionary of FIELDS; left_out: by file, how many questions of it have an empty choice,
    which has no length to normalise by; skipped: why whole files are left out."""

    by_file: dict[str, list[dict[str, Any]]]
    left_out: dict[str, int]
    skipped: dict[str, str]


def read_questions(folder: Path, names: tuple[str, ...], limit: int | None) -> Questions:
    """The first `limit` questions of the files that are named, or of all. InputError: no such file, none that is
    multiple choice, or a line that is no question, even beyond the limit."""
    files = {path.stem: path for path in sorted(folder.glob("*.jsonl"))}
    if not files:
        raise InputError(f"no .jsonl file in {folder}; expected files of {SHAPE}")
    for name in names:
        if name not in files:
            raise InputError(f"no {name}.jsonl in {folder}; {nearest(name, files)}")
    found = Questions({}, {}, {})
    for name in names or files:
        questions = _questions(files[name])
        whole = [question for question in questions if all(question["choices"])]
        if whole:
            found.by_file[name], found.left_out[name] = whole[:limit], len(questions) - len(whole)
        elif questions:
            found.skipped[name] = "every question has an empty choice"
        else:
            found.skipped[name] = "open-ended: an answer, no choices"
    if not found.by_file:
        raise InputError(f"no multiple-choice question in {', '.join(found.skipped)} of {folder}; expected {SHAPE}")
    return found


def _questions(path: Path) -> list[dict[str, Any]]:
    """The questions of a file; none where it is open-ended."""
    questions = []
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):  # not JSON, or not UTF-8
                value = None
            if number == 1 and isinstance(value, dict) and "answer" in value and "choices" not in value:
                return []
            if fault := _fault(value):
                raise InputError(f"{path} line {number}: {fault}; expected {SHAPE}")
            questions.append({field: value[field] for field in FIELDS})
    if not questions:
        raise InputError(f"{path} is empty; expected {SHAPE}")
    return questions


def _fault(value: Any) -> str | None:
    """What is wrong with a line, in a few words; None: it is a question."""
    if not isinstance(value, dict):
        return "no JSON object"
    if missing := [field for field in FIELDS if field not in value]:
        return f"no {' and no '.join(missing)}"
    query, choices, gold = (value[field] for field in FIELDS)
    if not isinstance(query, str) or not query.strip():
        return "query is no text"
    if not isinstance(choices, list) or not all(isinstance(choice, str) for choice in choices):
        return "choices is no list of texts"
    if len(choices) < 2:
        return f"choices has {len(choices)}"
    if type(gold) is not int or not 0 <= gold < len(choices):  # a bool is an int
        return f"gold is {json.dumps(gold)} of {len(choices)} choices"
    return None
