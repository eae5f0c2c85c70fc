"""Records to documents: columns, templates, labels, and everything that can be wrong with them."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretraingym.lm.ingest import documents as module
from pretraingym.lm.ingest.documents import EMPTY, SPLIT, Columns, Document, split
from pretraingym.lm.ingest.readers import Record
from pretraingym.lm.io.errors import InputError


def documents(columns: Columns, *values: dict[str, Any]) -> tuple[list[Document], Counter[str]]:
    counts: Counter[str] = Counter()
    records = [Record(f"file row {i + 1}", "stem", value) for i, value in enumerate(values)]
    return list(columns.documents(records, counts)), +counts


def test_the_domain_is_a_column_or_the_files_name() -> None:
    found, _ = documents(Columns(), {"text": "a", "domain": "web"}, {"text": "b"}, {"text": "c", "domain": None})
    assert [document.domain for document in found] == ["web", "stem", "stem"]
    nested = {"text": "a", "meta": {"redpajama_set_name": "ArXiv"}}
    assert documents(Columns(domain="meta.redpajama_set_name"), nested)[0] == [Document("a", "ArXiv")]
    with pytest.raises(InputError, match="file row 1 has no column 'source', only 'text'"):
        documents(Columns(domain="source"), {"text": "a"})


def test_text_is_a_column_or_a_template() -> None:
    record = {"context": "c", "question": "q?", "answers": {"text": ["one", "two"]}, "a.b": "dotted"}
    assert documents(Columns(text="question"), record)[0][0].text == "q?"
    assert documents(Columns(text="a.b"), record)[0][0].text == "dotted"
    template = Columns(text="{context}\n{question} {answers.text.0}{{}")
    assert documents(template, record)[0][0].text == "c\nq? one{{}"
    assert set(template.top_level) == {"context", "question", "answers.text.0", "answers", "domain"}
    with pytest.raises(InputError, match=r"has no column 'answers.text.2'.*--columns.text"):
        documents(Columns(text="{answers.text.2}"), record)
    with pytest.raises(InputError, match="'answers' is a dict, expected text"):
        documents(Columns(text="answers"), record)


def test_labels() -> None:
    columns = Columns(categories={"topic": "attr-cc_en_topic"}, scores={"quality": "attr-fineweb-edu"})
    found, counts = documents(
        columns,
        {"text": "a", "attr-cc_en_topic": 12, "attr-fineweb-edu": 5},
        {"text": "b", "attr-cc_en_topic": "", "attr-fineweb-edu": "2.5"},
        {"text": "c", "attr-fineweb-edu": None},
    )
    assert [document.labels for document in found] == [
        {"topic": "12", "quality": 5.0},
        {"topic": None, "quality": 2.5},
        {"topic": None, "quality": None},
    ]
    assert counts == {"rows without topic": 2, "rows without quality": 1}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "file row 1: 's' is nan, expected a finite number; mend it, or add --columns.nan-is-missing"),
        ("inf", "'s' is inf, expected a finite number; mend it$"),
        ("high", "'s' is 'high', expected a number"),
        ([1], r"'s' is '\[1\]', expected a number"),
    ],
)
def test_bad_scores(value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        documents(Columns(scores={"quality": "s"}), {"text": "a", "s": value})


def test_nan_may_stand_for_missing() -> None:
    columns = Columns(scores={"quality": "s"}, nan_is_missing=True)
    assert documents(columns, {"text": "a", "s": float("nan")})[0][0].labels == {"quality": None}


def test_a_category_is_no_list() -> None:
    with pytest.raises(InputError, match="'t' is a list, expected a category"):
        documents(Columns(categories={"topic": "t"}), {"text": "a", "t": [1]})


@pytest.mark.parametrize("columns", [{"categories": {"a": "x"}, "scores": {"a": "y"}}, {"categories": {"domain": "x"}}])
def test_two_columns_of_one_name(columns: dict[str, dict[str, str]]) -> None:
    with pytest.raises(InputError, match="two label columns are called '(a|domain)'"):
        Columns(**columns)  # type: ignore[arg-type]


def test_empty_documents_are_left_out_and_long_ones_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 40)
    long = "one two three.\n\nfour five six.\n\nseven eight nine."
    found, counts = documents(
        Columns(categories={"t": "t"}), {"text": " \n"}, {"text": long, "t": "x"}, {"text": "b", "t": "y"}
    )
    assert [document.text for document in found] == [long[:32], long[32:], "b"]
    assert [document.labels["t"] for document in found] == ["x", "x", "y"]
    assert (counts[EMPTY], counts[SPLIT]) == (1, 1)


@given(st.text(st.sampled_from("ab é🙂\n "), max_size=400))
def test_split_loses_nothing(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_BYTES", 37)
        pieces = list(split(text))
    assert all(len(piece.encode()) <= 37 for piece in pieces)
    assert "".join(pieces).strip() == text.strip() if text.strip() else pieces == []
