"""Reference text: its parts, documents held out for it, and training text that repeats it."""

from collections import Counter

import pytest

from pretraingym.lm.ingest import held_out
from pretraingym.lm.ingest.documents import Document
from pretraingym.lm.ingest.held_out import (
    COPIES,
    REPEATS,
    Category,
    Decontamination,
    HeldOut,
    Sample,
    Survey,
    default_tasks,
    parts,
    unit_of,
)
from pretraingym.lm.io.errors import InputError

DOCUMENTS = [Document(f"document number {i}", "d") for i in range(4000)]


def test_neighbours_stay_together() -> None:
    found = parts("t", DOCUMENTS[:8])
    assert found == {"t/validation": DOCUMENTS[:4], "t/trial": DOCUMENTS[4:6], "t/test": DOCUMENTS[6:8]}
    assert [len(part) for part in parts("t", DOCUMENTS[:3]).values()] == [1, 1, 1]
    for number in (0, 1, 2):
        with pytest.raises(
            InputError, match=f"'t' has {number} documents with text, expected .*; name files with more"
        ):
            parts("t", DOCUMENTS[:number])


def test_groups_stay_together() -> None:
    group = dict(zip("abcdefgh", "xyxzyz w", strict=True))
    documents = [Document(text, "d", group=of.strip()) for text, of in group.items()]
    found = {name: "".join(each.text for each in part) for name, part in parts("t", documents).items()}
    assert found == {"t/validation": "acbe", "t/trial": "df", "t/test": "gh"}
    with pytest.raises(InputError, match="'t' has 2 groups of documents, expected at least 3.*--reference-group"):
        parts("t", [Document(text, "d", group=of) for text, of in zip("abcd", "xxyx", strict=True)])


def test_what_is_held_out_is_a_share_whatever_the_order() -> None:
    def run(documents: list[Document]) -> tuple[list[Document], dict[str, list[Document]]]:
        held = HeldOut(0.05)
        splits = held.splits()
        train = list(held.train(documents))
        return train, {name: list(part) for name, part in splits.items()}

    train, splits = run(DOCUMENTS)
    held = [document for part in splits.values() for document in part]
    assert 120 < len(held) < 280, "about 5% of 4,000 documents"
    for part in ("trial", "test"):
        assert 0.3 < len(splits[f"heldout/{part}"]) / len(splits["heldout/validation"]) < 0.8
    assert sorted([*train, *held], key=lambda d: d.text) == sorted(DOCUMENTS, key=lambda d: d.text)
    again = run(DOCUMENTS[::-1] + DOCUMENTS[:100])[1]  # copies of what is held out change nothing
    assert {document.text for part in again.values() for document in part} == {document.text for document in held}


def test_no_more_is_held_out_than_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_out, "MAX_HELD_OUT", 20)
    held = HeldOut(0.5)
    assert len(list(held.train(DOCUMENTS))) == len(DOCUMENTS) - 20
    assert [len(part) for part in held.of_part.values()] == [10, 5, 5]


def test_copies_of_what_is_held_out_are_in_no_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_out, "MAX_HELD_OUT", 20)
    held = HeldOut(0.5)
    train = {document.text for document in held.train(DOCUMENTS + DOCUMENTS)}
    assert [len(part) for part in held.of_part.values()] == [10, 5, 5]
    assert train.isdisjoint({document.text for part in held.of_part.values() for document in part})
    assert held.counts[COPIES] == 20


def test_repeats_are_left_out() -> None:
    shared = "a paragraph that is long enough to be no accident when it stands in two documents at once, word for word"
    reference = Document(f"head\n\n{shared}\n\nrest", "r")
    counts: Counter[str] = Counter()
    clean = Document("head\n\nother text", "d")
    found = Decontamination([reference]).clean([Document(f"x\n\n  {shared}\n", "d"), clean], counts)
    assert list(found) == [clean]
    assert counts[REPEATS] == 1


def test_a_share_over_1_is_refused() -> None:
    with pytest.raises(InputError, match="hold_out is 1.5, expected a share between 0 and 1"):
        HeldOut(1.5)


@pytest.mark.parametrize(
    ("share", "count", "limit", "line"),
    [
        (
            0.01,
            40,
            None,
            "--hold-out 0.01 makes of 40 documents 0 for validation, 0 for trials, 0 for the test and 40 for training",
        ),
        (0.01, 40, None, "expected at least one each: give --hold-out 0.5, more text, or --reference files"),
        (0.01, 80, 80, "give --hold-out 0.5, a --max-documents above 80, or --reference files"),
        (0.99, 8, None, "0 for training, expected at least one each: give --hold-out 0.5, more text"),
        (0.5, 1, 1, "give a --max-documents above 1, or --reference files"),
    ],
)
def test_a_split_that_starves_says_which_flag(share: float, count: int, limit: int | None, line: str) -> None:
    held = HeldOut(share, limit=limit)
    with pytest.raises(InputError) as error:
        list(held.train(DOCUMENTS[:count]))
    assert line in str(error.value)


def test_the_share_that_is_named_does() -> None:
    for start in range(0, 4000, 200):
        held = HeldOut(held_out.EXPECTED / 200)
        list(held.train(DOCUMENTS[start : start + 200]))


def test_a_random_share_counts_by_default_only_where_it_is_alone() -> None:
    assert default_tasks(("qa", "heldout", "code")) == ("qa", "code")
    assert default_tasks(("heldout",)) == ("heldout",)


def surveyed(documents: list[Document], taken: set[bytes] | None = None) -> list[Document]:
    survey = Survey("t", Category("domain=d", "domain", "d"))
    for document in documents:
        survey.see(document)
    return survey.chosen(set() if taken is None else taken)


def test_a_category_gives_a_tenth_in_whatever_order_it_is_read() -> None:
    found = surveyed(DOCUMENTS)
    assert len(found) == 400
    assert surveyed(DOCUMENTS[::-1]) == found
    taken: set[bytes] = set()
    first = surveyed(DOCUMENTS[:300], taken)
    assert (len(first), len(taken)) == (30, 30)
    assert not {document.text for document in surveyed(DOCUMENTS[:300], taken)} & {document.text for document in first}


def test_a_large_category_gives_no_more_than_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no more of it is kept in memory than twice that."""
    whole = surveyed(DOCUMENTS)
    monkeypatch.setattr(held_out, "MAX_HELD_OUT", 50)
    assert surveyed(DOCUMENTS) == surveyed(DOCUMENTS[::-1]) == whole[:50]
    survey = Survey("t", Category("domain=d", "domain", "d"))
    for document in DOCUMENTS:
        survey.see(document)
        assert len(survey.sample._of_unit) <= 101


def test_few_sources_of_many_sizes_fill_the_parts_by_their_shares() -> None:
    sizes = {"a": 5, "b": 8, "c": 16, "d": 2, "e": 1}
    documents = [Document(f"{name} {i}", "d", group=name) for name, size in sizes.items() for i in range(size)]
    others = [Document(f"other {i}", "d", group=f"large {i % 2}") for i in range(600)]
    found = parts("t", surveyed(documents + others))
    assert [len(part) for part in found.values()] == [16, 8, 8]
    assert [{document.group for document in part} for part in found.values()] == [{"c"}, {"b"}, {"a", "d", "e"}]


def test_a_source_that_is_too_large_is_not_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_out, "LARGEST_SOURCE", 20)
    sizes = {"large": 21, "fits": 20, "b": 3, "c": 2, "d": 1} | {f"s{i}": 10 for i in range(20)}
    documents = [Document(f"{name} {i}", "d", group=name) for name, size in sizes.items() for i in range(size)]
    found = surveyed(documents)
    assert "large" not in {document.group for document in found}
    assert 3 <= len(found) <= len(documents) // 10
    whole = {document.group: sizes[document.group] for document in found}
    assert sum(whole.values()) == len(found), "sources are held out whole"


def test_of_few_sources_the_smallest_are_held_out() -> None:
    sizes = {"a": 9, "b": 1, "c": 2, "d": 8, "e": 1}
    documents = [Document(f"{name} {i}", "d", group=name) for name, size in sizes.items() for i in range(size)]
    assert sorted({document.group for document in surveyed(documents)}) == ["b", "c", "e"]
    with pytest.raises(
        InputError, match="'t' is domain=d, which 17 training documents have, of 2 sources.*6 documents"
    ):
        surveyed([document for document in documents if document.group in "ad"])


@pytest.mark.parametrize("grouped", [True, False])
def test_a_sample_is_bounded_in_bytes(grouped: bool) -> None:
    """It is of whole sources, the same in whatever order they come, and none has more bytes than all may have."""
    lengths = [(7 * i) % 90 + 1 for i in range(600)]
    documents = [
        Document("é" * length + f" {i}", "d", group=f"g{i // 3}" if grouped else "") for i, length in enumerate(lengths)
    ]
    large = Document("é" * 3000, "d", group="large" if grouped else "")
    found = []
    for order in (documents, documents[::-1], documents[300:] + documents[:300]):
        sample = Sample(1000, 5000)
        for document in [large, *order]:
            sample.see(document)
            kept = [each for texts in sample.units().values() for each in texts]
            assert sum(len(each.text.encode()) for each in kept) <= 2 * 5000
        found.append({unit: sorted(each.text for each in texts) for unit, texts in sample.least().items()})
    assert found[0] == found[1] == found[2]
    sizes = [sum(len(text.encode()) for text in texts) for texts in found[0].values()]
    assert sum(sizes[:-1]) < 5000 <= sum(sizes)
    units = sorted({unit_of(document) for document in documents})
    assert list(found[0]) == units[: len(sizes)]
    assert all(len(texts) == (3 if grouped else 1) for texts in found[0].values())
