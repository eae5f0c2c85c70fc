"""Byte models against counting by hand, and against text whose source is known."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from pretraingym.env.text import byte_codes
from pretraingym.env.text.byte_codes import BEFORE, CODE_BITS, PRIOR, ByteCodes, ByteCounts
from pretraingym.env.text.corpus_text import CorpusText
from pretraingym.env.text.likelihood import CORPUS_BYTES, Likelihood
from pretraingym.lm.corpus.corpus import REFERENCE_PARTS, Corpus, reference_split
from pretraingym.lm.ingest.build import build_corpus
from pretraingym.lm.ingest.documents import Document


def as_labellers_see(corpus: Corpus) -> CorpusText:
    return CorpusText(corpus.texts, corpus.splits, corpus.labels["domain"].column)


def test_codes_know_three_bytes_before_and_no_other_document() -> None:
    texts = ["abcdabcd", "", "xbcd", "é"]
    codes = ByteCodes.of(texts)
    assert bytes(codes.byte) == "".join(texts).encode()
    assert codes.count.tolist() == [8, 0, 4, 2]
    assert codes.context[3] == codes.context[7] != codes.context[11]
    assert codes.gram[3] == codes.gram[7] != codes.gram[11]
    alone = [ByteCodes.of([text]) for text in texts]
    for name in ("byte", "context", "gram"):
        np.testing.assert_array_equal(getattr(codes, name), np.concatenate([getattr(one, name) for one in alone]))
    np.testing.assert_allclose(codes.sums(np.arange(14.0)), [28, 0, 38, 25])


def test_codes_of_random_text_by_hand() -> None:
    rng = np.random.default_rng(0)
    letters = np.array(list("ab \0é漢🙂"))
    texts = ["".join(rng.choice(letters, rng.integers(6))) for _ in range(200)]
    codes, place = ByteCodes.of(texts), 0
    for text in texts:
        padded = bytes(BEFORE) + text.encode()
        for at in range(BEFORE, len(padded)):
            context, gram = (int.from_bytes(padded[at - BEFORE : at + more]) for more in (0, 1))
            assert codes.byte[place] == padded[at]
            assert codes.context[place] == context * 0x9E3779B1 % 2**32 >> 32 - CODE_BITS
            assert codes.gram[place] == gram * 0x9E3779B1 % 2**32 >> 32 - CODE_BITS
            place += 1
    assert place == len(codes.byte) == codes.count.sum()


def test_codes_take_few_bytes_of_memory_a_byte_of_text() -> None:
    text = "ab é漢 " * 100_000
    tracemalloc.start()
    try:
        codes = ByteCodes.of(["", text, "x"])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 * len(codes.byte)


def test_parts_hold_all_codes_and_cut_only_long_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_codes, "PART_BYTES", 10)
    codes = ByteCodes.of(["", "a" * 25, "b" * 10, "c", "d" * 9, "e" * 3])
    parts = list(codes.parts())
    assert [document.tolist() for document, _ in parts] == [[0, 1], [1], [1, 2], [3, 4], [5]]
    assert [part.count.tolist() for _, part in parts] == [[0, 10], [10], [5, 10], [1, 9], [3]]
    for name in ("byte", "context", "gram"):
        np.testing.assert_array_equal(np.concatenate([getattr(part, name) for _, part in parts]), getattr(codes, name))
    assert list(ByteCodes.of([]).parts()) == []


def test_probabilities_by_hand() -> None:
    codes, counts = ByteCodes.of(["aaab", "aaac"]), ByteCounts()
    counts.add(codes)
    after = 1 + PRIOR * (1 + 1) / (256 + 8)  # b follows aaa once of two times
    np.testing.assert_allclose(counts.probability(codes)[3], after / (2 + PRIOR))


def test_a_ratio_by_hand(tmp_path: Path) -> None:
    """Of documents that are all alike: each model read two of three folds, so six of the nine."""
    splits = {reference_split("own", part): [Document("aaab", "all")] * 9 for part in REFERENCE_PARTS}
    corpus = build_corpus(tmp_path / "corpus", {"train": [Document("cccd", "all")] * 60, **splits}, ("own",), 300)
    documents = as_labellers_see(corpus)
    likelihood = Likelihood(documents, documents.validation("own"))
    own = documents.splits["own/validation"]
    p = documents.byte_counts.probability(ByteCodes.of(["aaab"]))
    ratios = np.log((6 + CORPUS_BYTES * p) / (6 + CORPUS_BYTES) / p)
    for part in (own, documents.splits["own/test"]):
        np.testing.assert_allclose(likelihood.a_byte(documents.batch(part)), ratios.mean(), rtol=1e-5)
    other = -np.log(1 + 6 / CORPUS_BYTES) / 4  # its first byte alone follows a context that they have
    np.testing.assert_allclose(likelihood.a_byte(documents.batch(range(1))), other, rtol=1e-5)


def test_ratios_depend_neither_on_batches_nor_on_parts(tiny_corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = as_labellers_see(tiny_corpus)
    chosen = documents.validation("prose")
    whole = Likelihood(documents, chosen)
    expected = whole.a_byte(documents.batch(range(40)))
    monkeypatch.setattr(byte_codes, "PART_BYTES", 10)
    cut = Likelihood(documents, chosen)
    np.testing.assert_array_equal(whole.entries, cut.entries)
    np.testing.assert_allclose(whole.unseen, cut.unseen, rtol=1e-12)
    ratios = cut.a_byte(documents.batch(range(40)))
    np.testing.assert_allclose(expected, ratios, rtol=1e-12)
    one_by_one = np.concatenate([cut.a_byte(documents.batch(range(place, place + 1))) for place in range(40)])
    np.testing.assert_array_equal(one_by_one, ratios)


@pytest.mark.parametrize(("task", "other"), [("prose", "code"), ("code", "prose")])
def test_text_of_the_same_source_is_likelier(tiny_corpus: Corpus, task: str, other: str) -> None:
    """And a document that the model read is not likelier than one that it did not."""
    documents = as_labellers_see(tiny_corpus)
    likelihood = Likelihood(documents, documents.validation(task))
    ratio = {
        split: likelihood.a_byte(documents.batch(part)) for split, part in documents.splits.items() if split != "train"
    }
    assert ratio[f"{task}/test"].min() > ratio[f"{other}/test"].max()
    assert ratio[f"{task}/validation"].mean() < ratio[f"{task}/test"].mean() + ratio[f"{task}/test"].std()
