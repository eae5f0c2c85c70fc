"""Multiple-choice files: what is read, what is left out and how bad lines are told."""

import json
from pathlib import Path

import pytest

from pretraingym.experiments.evaluation.questions import SHAPE, read_questions
from pretraingym.lm.io.errors import InputError

QUESTION = {"query": "the river", "choices": ["salt", "seven"], "gold": 1}
OPEN = {"query": "the", "answer": "river", "aliases": ["rivers"]}
EMPTY = {"query": "the", "choices": ["", "salt"], "gold": 0}


def line(**changes: object) -> str:
    return json.dumps(QUESTION | changes)


def write(folder: Path, **files: list[dict[str, object]]) -> Path:
    for name, questions in files.items():
        lines = [json.dumps(question, ensure_ascii=False) + "\n" for question in questions]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    return folder


def test_what_is_read_and_what_is_left_out(tmp_path: Path) -> None:
    more = QUESTION | {"query": "the\u2028lantern", "source": "made up"}
    found = read_questions(
        write(tmp_path, a=[EMPTY, QUESTION, more, EMPTY], empty=[EMPTY], open=[OPEN, OPEN]), (), None
    )
    assert found.by_file == {"a": [QUESTION, QUESTION | {"query": "the\u2028lantern"}]}
    assert found.left_out == {"a": 2}
    assert found.skipped == {
        "empty": "every question has an empty choice",
        "open": "open-ended: an answer, no choices",
    }
    assert read_questions(tmp_path, ("a",), 1).by_file == {"a": [QUESTION]}
    assert read_questions(tmp_path, ("a",), 1).skipped == {}


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \.jsonl file in .*; expected files of one JSON object a line"):
        read_questions(tmp_path / "missing", (), None)
    write(tmp_path, a=[QUESTION], open=[OPEN], nothing=[])
    with pytest.raises(InputError, match=r"no opn\.jsonl in .*; did you mean 'open'\? known: a, nothing, open"):
        read_questions(tmp_path, ("opn",), None)
    with pytest.raises(InputError, match="no multiple-choice question in open of .*; expected one JSON"):
        read_questions(tmp_path, ("open",), None)
    with pytest.raises(InputError, match=r"nothing\.jsonl is empty; expected one JSON"):
        read_questions(tmp_path, (), None)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ('{"query": "the', "no JSON object"),
        ("\xff", "no JSON object"),
        ("3", "no JSON object"),
        ("[" * 100_000, "no JSON object"),
        ("", "no JSON object"),
        ('{"query": "the"}', "no choices and no gold"),
        (line(query=" "), "query is no text"),
        (line(choices="salt"), "choices is no list of texts"),
        (line(choices=["salt", 3]), "choices is no list of texts"),
        (line(choices=["salt"], gold=0), "choices has 1"),
        (line(gold=2), "gold is 2 of 2 choices"),
        (line(gold=-1), "gold is -1 of 2 choices"),
        (line(gold=True), "gold is true of 2 choices"),
    ],
)
def test_a_bad_line_is_told_by_its_number(tmp_path: Path, bad: str, message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(f"{line()}\n{bad}\n", encoding="latin-1")
    with pytest.raises(InputError) as told:
        read_questions(tmp_path, (), 1)
    assert str(told.value) == f"{path} line 2: {message}; expected {SHAPE}"
