"""Logs of JSON lines: appended to whole, by several at once, and read as far as they are whole."""

import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from pretraingym.lm.io.errors import InputError
from pretraingym.lm.io.json_lines import CUT, JsonLines

HEAD = {"kind": "head"}


@pytest.fixture
def log(tmp_path: Path) -> JsonLines:
    return JsonLines(tmp_path / "new" / "log.jsonl")


def values(log: JsonLines) -> list[Any]:
    return [value for _, value in log.read("restore it")]


def test_lines_come_back_with_their_places(log: JsonLines) -> None:
    assert values(log) == []
    log.append([1, {"a": "tab\t and line\n"}])
    log.append(["ä"])
    assert list(log.read("")) == [
        (f"{log.path} line 1", 1),
        (f"{log.path} line 2", {"a": "tab\t and line\n"}),
        (f"{log.path} line 3", "ä"),
    ]


def test_a_heading_stands_once(log: JsonLines) -> None:
    for each in (log, JsonLines(log.path)):  # the second one finds it in the file
        each.append([1], heading=HEAD)
        each.append([2], heading=HEAD)
    assert values(log) == [HEAD, 1, 2, 1, 2]


def test_a_cut_line_is_passed_over_and_marked_by_the_next_writer(log: JsonLines) -> None:
    log.append(["first"])
    whole = log.path.read_bytes()
    log.append(["the second"])
    second = log.path.read_bytes()[len(whole) :]
    for size in range(len(second)):
        log.path.write_bytes(whole + second[:size])
        assert values(log) == ["first"], f"{size} bytes of the second line"
        log.append(["third"])
        assert values(log) == ["first", "third"], f"{size} bytes of the second line"
        assert log.path.read_bytes().count(CUT) == (size > 0)
    log.path.write_bytes(whole + second[:5] + CUT[:4])  # a writer that was killed as it marked
    log.append(["third"])
    assert values(log) == ["first", "third"]


def test_it_is_cut_back_to_a_mark(log: JsonLines) -> None:
    assert log.size == 0
    log.truncate(100)
    log.append([1])
    mark = log.size
    log.append([2, 3])
    log.truncate(mark)
    log.truncate(mark + 10)
    assert values(log) == [1]


def test_long_lines_are_neither_written_nor_read(log: JsonLines) -> None:
    short = JsonLines(log.path, max_line=10)
    log.append(["1234567"])
    short.append(["1234567"])  # with its quotes and newline as long as may be
    with pytest.raises(InputError, match=r"a line of 11 bytes for .*log\.jsonl, expected at most 10"):
        short.append(["12345678"])
    log.append(["12345678"])
    with pytest.raises(InputError, match=r"log\.jsonl line 3 is longer than 10 bytes"):
        values(short)


def test_only_those_who_ask_for_it_write_what_is_not_finite(log: JsonLines) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        log.append([float("nan")])
    assert log.size == 0
    log.append([float("nan")], allow_nan=True)
    with pytest.raises(InputError, match=r"log\.jsonl line 1 is not valid JSON .* restore it"):
        values(log)


def write_many(path: Path, name: str) -> None:
    log = JsonLines(path)
    for number in range(50):
        log.append([[name, number]] * 3, heading=HEAD)


def test_several_writers_keep_their_lines_apart(log: JsonLines) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(log.path, name)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    head, *lines = values(log)
    assert head == HEAD
    for name in "ab":
        assert [line for line in lines if line[0] == name] == [[name, number] for number in range(50) for _ in "123"]
