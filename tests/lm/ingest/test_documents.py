"""Records to documents: columns, templates, labels, and everything that can be wrong with them."""

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretraingym.lm.ingest import documents as module
from pretraingym.lm.ingest.documents import EMPTY, SPLIT, Columns, Document, split
from pretraingym.lm.io.errors import InputError
from pretraingym.lm.records.faults import Faults
from pretraingym.lm.records.record import BadFile, BadRow, Record


def documents(columns: Columns, *values: dict[str, Any]) -> tuple[list[Document], Counter[str]]:
    counts: Counter[str] = Counter()
    records = [Record(f"file row {i + 1}", "stem", value) for i, value in enumerate(values)]
    return list(columns.documents(records, counts, Faults(strict=True))), +counts


def test_the_domain_is_a_column_or_the_files_name() -> None:
    found, _ = documents(Columns(), {"text": "a", "domain": "web"}, {"text": "b"}, {"text": "c", "domain": None})
    assert [document.domain for document in found] == ["web", "stem", "stem"]
    nested = {"text": "a", "meta": {"redpajama_set_name": "ArXiv"}}
    assert documents(Columns(domain="meta.redpajama_set_name"), nested)[0] == [Document("a", "ArXiv")]
    with pytest.raises(InputError, match=r"file row 1 \(only 'text'\): a row without column 'source'; name yours"):
        documents(Columns(domain="source"), {"text": "a"})


def test_text_is_a_column_or_a_template() -> None:
    record = {"context": "c", "question": "q?", "answers": {"text": ["one", "two"]}, "a.b": "dotted"}
    assert documents(Columns(text="question"), record)[0][0].text == "q?"
    assert documents(Columns(text="a.b"), record)[0][0].text == "dotted"
    template = Columns(text="{context}\n{question} {answers.text.0}{{}")
    assert documents(template, record)[0][0].text == "c\nq? one{{}"
    assert set(template.top_level) == {"context", "question", "answers.text.0", "answers", "domain"}
    assert template.required == ("context", "question", "answers.text.0")
    with pytest.raises(InputError, match=r"without column 'answers.text.2'; name yours with --columns"):
        documents(Columns(text="{answers.text.2}"), record)
    with pytest.raises(InputError, match="a row with a map as 'answers'; expected text"):
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
        (float("nan"), "file row 1: a row with nan as 's'; expected a finite number; --columns.nan-is-missing allows"),
        ("inf", "with inf as 's'; expected a finite number$"),
        ("high", r"row 1 \(high\): a row with no number as 's'; expected a number"),
        ([1], r"row 1 \(\[1\]\): a row with no number as 's'"),
    ],
)
def test_bad_scores(value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        documents(Columns(scores={"quality": "s"}), {"text": "a", "s": value})


def test_nan_may_stand_for_missing() -> None:
    columns = Columns(scores={"quality": "s"}, nan_is_missing=True)
    assert documents(columns, {"text": "a", "s": float("nan")})[0][0].labels == {"quality": None}


LISTS: list[tuple[object, str]] = [([1], "a list"), ({"k": 0}, "a map"), ([("k", 0)], "a map")]


@pytest.mark.parametrize(("value", "kind"), LISTS)
@pytest.mark.parametrize("columns", [Columns(categories={"topic": "t"}), Columns(domain="t"), Columns(group="t")])
def test_a_name_is_no_list(columns: Columns, value: object, kind: str) -> None:
    with pytest.raises(InputError, match=f"a row with {kind} as 't'; expected a name"):
        documents(columns, {"text": "a", "t": value})


@pytest.mark.parametrize("value", [float("nan"), None])
def test_nan_is_missing_text_and_a_missing_name(value: object) -> None:
    columns = Columns(domain="d", categories={"topic": "t"})
    assert documents(columns, {"text": value, "d": "x", "t": "y"}) == ([], {EMPTY: 1})
    found, counts = documents(columns, {"text": "a", "d": value, "t": value})
    assert found == [Document("a", "stem", {"topic": None})]
    assert counts == {"rows without topic": 1}


def test_a_decimal_is_no_text() -> None:
    with pytest.raises(InputError, match=r"row 1 \(1\.5\): a row with a number as 'text'; expected text"):
        documents(Columns(), {"text": Decimal("1.5")})


def test_true_is_no_text_but_a_category() -> None:
    with pytest.raises(InputError, match=r"row 1 \(True\): a row with true or false as 'text'; expected text"):
        documents(Columns(), {"text": True})
    found, _ = documents(Columns(categories={"topic": "t"}), {"text": 12, "t": False})
    assert found == [Document("12", "stem", {"topic": "False"})]


SPELLINGS: list[tuple[tuple[object, ...], set[str]]] = [
    ((1, 1.0, "1.0", "1", "1.000", Decimal("1.00")), {"1"}),
    ((0, -0.0, "-0.0"), {"0"}),
    ((-3, -3.0, "-3.0"), {"-3"}),
    ((1.5, "1.5"), {"1.5"}),
    (("1.0.0", "v1.0", "01"), {"1.0.0", "v1.0", "01"}),
]


@pytest.mark.parametrize(("values", "names"), SPELLINGS)
def test_a_number_is_one_name_however_it_is_written(values: tuple[object, ...], names: set[str]) -> None:
    rows = [{"text": "a", "t": value} for value in values]
    found, _ = documents(Columns(domain="t", categories={"topic": "t"}), *rows)
    assert {document.domain for document in found} == names
    assert {document.labels["topic"] for document in found} == names


def test_bad_rows_are_left_out_and_nothing_of_them_is_counted() -> None:
    columns = Columns(categories={"topic": "t"}, scores={"quality": "s"})
    rows = [
        {"text": "a", "s": 1},
        {"text": "b", "s": "high"},
        {"body": "c"},
        {"text": [], "s": 1},
        {"text": "d", "s": 2},
    ]
    counts: Counter[str] = Counter()
    faults = Faults()
    records: list[Record | BadRow | BadFile] = [Record(f"row {i}", "stem", row) for i, row in enumerate(rows)]
    records += [BadRow("row 5", "of another kind", "mend it"), BadFile("x is cut")]
    found = list(columns.documents(records, counts, faults))
    assert [document.text for document in found] == ["a", "d"]
    assert counts == {"rows without topic": 2, SPLIT: 0}
    assert (faults.good, faults.bad, faults.bad_files) == (2, 4, ["x is cut"])
    assert list(faults.kinds) == [
        "with no number as 's'",
        "without column 'text'",
        "with a list as 'text'",
        "of another kind",
    ]


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
