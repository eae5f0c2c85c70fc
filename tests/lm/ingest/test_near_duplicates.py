"""Near-duplicates: found as the exact Jaccard similarity says, the first of a group stays."""

from collections import Counter

import numpy as np
import pytest

from pretraingym.lm.ingest import near_duplicates
from pretraingym.lm.ingest.documents import Document
from pretraingym.lm.ingest.near_duplicates import OF_REFERENCE, OF_TRAINING, NearDuplicates
from pretraingym.lm.io.errors import InputError

Rng = np.random.Generator


def words(rng: Rng, count: int) -> list[str]:
    return [f"w{number}" for number in rng.integers(10_000, size=count)]


def jaccard(one: list[str], other: list[str]) -> float:
    """Of the sets of runs of five words."""
    runs = [{tuple(each[i : i + 5]) for i in range(len(each) - 4)} for each in (one, other)]
    return len(runs[0] & runs[1]) / len(runs[0] | runs[1])


def stay(texts: list[str], threshold: float = 0.8, references: tuple[str, ...] = ()) -> tuple[list[str], Counter[str]]:
    counts: Counter[str] = Counter()
    found = NearDuplicates(threshold, [Document(text, "r") for text in references])
    return [each.text for each in found.first_ones((Document(text, "d") for text in texts), counts)], counts


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.95])
def test_as_exact_similarity_says(threshold: float) -> None:
    """Pairs of every similarity: what is well above the threshold is left out, what is well below stays."""
    rng = np.random.default_rng(0)
    for changes in range(0, 60, 2):
        one = words(rng, 300)
        other = one.copy()
        for place in rng.choice(300, changes, replace=False):
            other[place] = "changed"
        similarity = jaccard(one, other)
        left_out = len(stay([" ".join(one), " ".join(other)], threshold)[0]) == 1
        if abs(similarity - threshold) > 0.12:  # three standard errors
            assert left_out == (similarity > threshold), similarity
    assert similarity < 0.4, "the pairs do not reach far down"


def test_most_pairs_at_the_threshold_are_compared() -> None:
    for threshold in (0.05, 0.3, 0.8, 0.9, 1.0):
        rows = near_duplicates._rows(threshold)
        assert 1 <= rows <= 128
        assert 1 - (1 - threshold**rows) ** (128 // rows) >= 0.9


def test_the_first_of_a_group_stays_whatever_else_there_is() -> None:
    rng = np.random.default_rng(1)
    group = words(rng, 200)
    texts = [" ".join(words(rng, 200)) for _ in range(300)]
    copies = [" ".join([*group[:place], "other", *group[place:]]) for place in (10, 50, 90)]
    for place, text in zip((5, 100, 250), copies, strict=True):
        texts.insert(place, text)
    found, counts = stay(texts)
    assert found == [text for text in texts if text not in copies[1:]]
    assert counts == {OF_TRAINING: 2}
    assert stay(texts) == (found, counts)


def test_case_punctuation_and_spaces_do_not_count() -> None:
    texts = ["One, two: three four five six (seven).", "one two three\n\nFOUR five -- six seven"]
    assert stay(texts, 1.0) == (texts[:1], {OF_TRAINING: 1})


def test_what_repeats_reference_text_is_left_out_and_counted_apart() -> None:
    rng = np.random.default_rng(2)
    one, other = words(rng, 100), words(rng, 100)
    texts = [" ".join([*one, "more"]), " ".join(other), " ".join([*other, "more"])]
    assert stay(texts, references=(" ".join(one),)) == (texts[1:2], {OF_REFERENCE: 1, OF_TRAINING: 1})


@pytest.mark.parametrize(
    "texts",
    [
        ["", "!?", "?!", "\U0001f642", "a", "a b", "a b c"],  # shorter than a run of words, or without words
        ["\ud800", "\ud801 and more words than five are in here", "\x00"],
        ["今日は天気がとても良いので散歩に行きました", "昨日は雨がひどく降ったので家で本を読みました"],
        [" ".join("word" for _ in range(length)) + f" {length}" for length in (3, 4)],
    ],
)
def test_odd_texts_stay_apart(texts: list[str]) -> None:
    assert stay([*texts, *texts]) == (texts, {OF_TRAINING: len(texts)})


def test_scripts_without_spaces() -> None:
    text = "".join(chr(0x4E00 + i * 37 % 5000) for i in range(300))
    assert stay([text, text[:150] + "x" + text[151:]])[0] == [text]
    assert len(stay([text, text[::-1]])[0]) == 2


def test_long_documents_are_read_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(words(np.random.default_rng(3), 1000))
    whole = NearDuplicates(0.8)._signature(text)
    for pieces in (1, 7, 996):
        monkeypatch.setattr(near_duplicates, "RUNS_AT_A_TIME", pieces)
        np.testing.assert_array_equal(NearDuplicates(0.8)._signature(text), whole)


def test_signatures_are_the_same_on_every_machine() -> None:
    """A corpus is a function of its text: a library that hashes otherwise is told here."""
    signature = NearDuplicates(0.8)._signature("the quick brown fox jumps over the lazy dog")
    assert signature.dtype == np.uint32
    assert int(signature.astype(np.uint64).sum()) == 91_864_105_989


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.5, float("nan")])
def test_what_is_no_similarity(threshold: float) -> None:
    with pytest.raises(InputError, match=r"near_duplicates is .*, expected a similarity above 0 and at most 1"):
        NearDuplicates(threshold)
