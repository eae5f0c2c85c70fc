"""Building from documents: their labels, and what is refused."""

import errno
import hashlib
import itertools
import json
import pickle
import shutil
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE, WordLevel
from tokenizers.pre_tokenizers import Whitespace

from pretraingym.lm.corpus.corpus import Corpus, Labels
from pretraingym.lm.corpus.token_set import check_tokens
from pretraingym.lm.corpus.tokenizer import END_OF_TEXT, train_tokenizer
from pretraingym.lm.corpus.writer import MAX_CATEGORIES, add_labels, labelling
from pretraingym.lm.ingest import build as module
from pretraingym.lm.ingest.build import build_corpus
from pretraingym.lm.ingest.documents import Document
from pretraingym.lm.io.errors import InputError

REFERENCE = {f"t/{part}": [Document(f"reference {part}", "t")] for part in ("validation", "trial", "test")}


def build(path: Path, *labels: dict[str, str | float | None], tokenizer: int | Path = 260) -> Corpus:
    train = [Document(f"text number {i}", "d", each) for i, each in enumerate(labels)]
    return build_corpus(path, {"train": train, **REFERENCE}, ("t",), tokenizer, cuts={"q": (1, 4)})


def test_categories_are_in_natural_order_with_missing_last(tmp_path: Path) -> None:
    corpus = build(tmp_path / "c", {"topic": "10"}, {"topic": "9"}, {"topic": None}, {}, {"topic": "other"})
    topic = corpus.labels["topic"]
    assert topic.names == ("9", "10", "other", "missing")
    assert topic.column.tolist() == [1, 0, 3, 3, 2, 3, 3, 3]  # the reference documents have none
    assert topic.values is None
    assert corpus.labels["domain"].names == ("d", "t")


def test_scores_are_cut_where_it_is_said(tmp_path: Path) -> None:
    corpus = build(tmp_path / "c", {"q": 5.0}, {"q": 0.5}, {"q": None}, {"q": 1.0})
    assert corpus.labels["q"].column.tolist() == [2, 0, 3, 1, 3, 3, 3]
    assert corpus.labels["q"].values is not None
    np.testing.assert_allclose(corpus.labels["q"].values, [0.5, 1.0, 5.0, 6.5 / 3])


def test_a_label_that_no_training_document_has(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no training document has the label 'topic'"):
        build(tmp_path / "c", {"topic": None})
    assert list(tmp_path.iterdir()) == []


def test_a_tokenizer_with_gaps_or_of_no_use(tmp_path: Path) -> None:
    """The vocabulary and the numbers' type follow the largest id; a corpus without tokens is not written."""
    tokenizer = Tokenizer(WordLevel({"text": 0, "number": 5, "<unk>": 70_000}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    corpus = build(tmp_path / "c", {}, {}, tokenizer=tmp_path)
    assert corpus.tokens.tolist()[:6] == [0, 5, 70_000] * 2
    assert (corpus.vocab_size, corpus.tokens.dtype) == (70_001, np.uint32)
    (tmp_path / "silent").mkdir()
    Tokenizer(BPE({"Z": 0}, [])).save(str(tmp_path / "silent" / "tokenizer.json"))
    with pytest.raises(InputError, match="silent gives no tokens for this text"):
        build(tmp_path / "d", {}, tokenizer=tmp_path / "silent")
    with pytest.raises(InputError, match="silent gives no tokens for this text"):
        corpus.with_tokenizer(tmp_path / "silent")
    silent = Tokenizer(BPE({"Z": 0, "r": 1, "<end>": 2}, []))  # knows a letter of the reference text alone
    silent.save(str(tmp_path / "silent" / "tokenizer.json"))
    texts = {"train": [Document("of what?", "d")], **REFERENCE}
    for named in (None, "<end>"):
        (tmp_path / "silent" / "tokenizer_config.json").write_text(json.dumps({"eos_token": named}))
        with pytest.raises(InputError, match="silent gives no tokens for this text"):
            build_corpus(tmp_path / "d", texts, ("t",), tmp_path / "silent")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "silent", "tokenizer.json"]
    assert not [path for path in corpus.path.iterdir() if path.name.startswith((".", "tokens-"))]


def test_the_tokenizer_is_looked_at_before_the_documents_are_read(tmp_path: Path) -> None:
    def documents() -> Iterator[Document]:
        yield Document("nothing that it knows", "d")
        raise AssertionError("a second document was read")

    Tokenizer(WordLevel({"text": 0}, unk_token="<unk>")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(InputError, match="cannot read the document 'nothing that it knows'"):
        build_corpus(tmp_path / "c", {"train": documents(), **REFERENCE}, ("t",), tmp_path)


def test_too_many_categories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_CATEGORIES == 65_535
    monkeypatch.setattr(module, "MAX_CATEGORIES", 3)
    with pytest.raises(InputError, match="label 'user' has more than 3 categories; coarsen it"):
        build(tmp_path / "c", *({"user": f"u{i}"} for i in range(4)))


def test_an_agents_label_may_not_hide_a_documents(tmp_path: Path) -> None:
    given = {"train": [Document("text", "d", {"topic": "x"})], **REFERENCE}
    labels = Labels(("a",), None, np.zeros(4, np.uint16))
    with pytest.raises(InputError, match="label 'topic' comes with the documents, and an agent gives it too"):
        build_corpus(tmp_path / "c", given, ("t",), 260, lambda *_: {"topic": labels})


def test_no_documents(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="split 'train' has no documents"):
        build(tmp_path / "c")


def test_counts_are_kept(tmp_path: Path) -> None:
    counts: Counter[str] = Counter()

    def train() -> list[Document]:
        counts["things, left out"] += 3
        return [Document("text", "d")]

    splits = {"train": (document for document in train()), **REFERENCE}
    assert build_corpus(tmp_path / "c", splits, ("t",), 260, counts=counts).counts == {"things, left out": 3}


def test_another_tokenizer_reads_the_same_corpus(tiny_corpus: Corpus, tmp_path: Path) -> None:
    """The corpus is tokenised once for each tokenizer, in a folder of its own; text, labels and splits are shared."""
    corpus = build(tmp_path / "c", {"topic": "a"}, {"topic": "b"})
    other = corpus.with_tokenizer(tiny_corpus.path)
    assert other.vocab_size == tiny_corpus.vocab_size != corpus.vocab_size
    tokenizer = other.tokenizer()
    for document, text in enumerate(corpus.texts):
        begin, end = other.token_offsets[document : document + 2]
        assert tokenizer.decode(other.tokens[begin : end - 1].tolist()) == text
        assert other.tokens[end - 1] == other.end_of_text == 0
    assert (other.labels["topic"].column == corpus.labels["topic"].column).all()
    assert other.fingerprint != corpus.fingerprint
    assert Corpus.open(corpus.path).fingerprint == corpus.fingerprint
    before = {path: path.stat().st_mtime_ns for path in corpus.path.rglob("*")}
    assert corpus.with_tokenizer(tiny_corpus.path / "tokenizer.json").fingerprint == other.fingerprint
    for each in (corpus, other):  # as a spawned process gets it: its path, not its bytes
        pickled = pickle.dumps(each)
        assert len(pickled) < 1000
        assert pickle.loads(pickled).fingerprint == each.fingerprint
        np.testing.assert_array_equal(pickle.loads(pickled).tokens, each.tokens)
    assert {path: path.stat().st_mtime_ns for path in corpus.path.rglob("*")} == before  # nothing is tokenised twice
    with pytest.raises(InputError, match="no tokenizer.json in"):
        corpus.with_tokenizer(tmp_path)


def test_a_corpus_that_cannot_be_written(tiny_corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = build(tmp_path / "c", {})

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "read-only")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", refuse)
        with pytest.raises(InputError, match="c cannot be written, and keeps its tokens there; copy the corpus"):
            corpus.with_tokenizer(tiny_corpus.path)


def test_the_letters_of_a_special_token_are_letters(tiny_corpus: Corpus, tmp_path: Path) -> None:
    """Whether the tokenizer was trained on the text, is given to a build, or reads a built corpus."""
    train = [Document(f"text {END_OF_TEXT} goes on", "d"), Document(END_OF_TEXT, "d")]

    def built(name: str, tokenizer: int | Path) -> Corpus:
        return build_corpus(tmp_path / name, {"train": train, **REFERENCE}, ("t",), tokenizer)

    trained = built("trained", 270)
    of_another = built("of-another", tiny_corpus.path)
    for corpus in (built("given", trained.path), of_another.with_tokenizer(trained.path)):
        assert (corpus.tokens == trained.tokens).all()
        assert corpus.tokenizer_hash == trained.tokenizer_hash != of_another.tokenizer_hash
        assert np.count_nonzero(corpus.tokens == corpus.end_of_text) == corpus.num_documents
        for text in corpus.texts:
            tokenizer = corpus.tokenizer()
            tokens = tokenizer.encode(text, add_special_tokens=False).ids
            assert corpus.end_of_text not in tokens
            assert tokenizer.decode(tokens) == text
    assert trained.tokenizer_hash == hashlib.sha256((trained.path / "tokenizer.json").read_bytes()).hexdigest()


def test_a_tokenizer_that_is_given(tiny_corpus: Corpus, tmp_path: Path) -> None:
    corpus = build(tmp_path / "c", {}, tokenizer=tiny_corpus.path)
    assert corpus.vocab_size == tiny_corpus.vocab_size
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(InputError, match="is no tokenizer"):
        build(tmp_path / "d", {}, tokenizer=tmp_path)


def column(*numbers: int) -> Labels:
    return Labels(("a", "b"), (0.0, 1.0), np.array(numbers, np.uint16))


def test_labels_are_added_and_replaced(tmp_path: Path) -> None:
    corpus = build(tmp_path / "c", {}, {})
    first = add_labels(corpus, {"new": column(0, 1, 0, 0, 0)})
    assert first.labels["new"].column.tolist() == [0, 1, 0, 0, 0]
    assert first.fingerprint != corpus.fingerprint
    with pytest.raises(InputError, match="c has a label 'new'; add --overwrite to replace it"):
        add_labels(first, {"other": column(0, 0, 0, 0, 0), "new": column(1, 1, 1, 1, 1)})
    second = add_labels(first, {"new": column(1, 1, 0, 1, 1)}, overwrite=True)
    assert second.labels["new"].column.tolist() == [1, 1, 0, 1, 1]
    assert first.labels["new"].column.tolist() == [0, 1, 0, 0, 0]  # what was mapped is not written over
    assert list(Corpus.open(corpus.path, verify=True).labels) == ["domain", "new"]
    with pytest.raises(InputError, match=r"labels 'new' are uint16 \(4,\), expected uint16 \(5,\)"):
        add_labels(second, {"new": column(0, 0, 0, 0)}, overwrite=True)
    assert Corpus.open(corpus.path, verify=True).fingerprint == second.fingerprint


def test_a_label_that_is_put_back(tmp_path: Path) -> None:
    """Then the corpus is the one that it was: runs that began with it go on. No more than one old column is kept."""
    corpus = add_labels(build(tmp_path / "c", {}), {"new": column(0, 1, 0, 0)})
    for numbers in ((1, 1, 1, 1), (0, 0, 1, 1), (0, 1, 0, 0)):
        again = add_labels(corpus, {"new": column(*numbers)}, overwrite=True)
        assert again.labels["new"].column.tolist() == list(numbers)
        assert (again.fingerprint == corpus.fingerprint) == (numbers == (0, 1, 0, 0))
    assert Corpus.open(corpus.path, verify=True).fingerprint == corpus.fingerprint
    assert len(list(corpus.path.glob("labels-new*"))) == 2
    path = next(corpus.path.glob(f"labels-new@{hashlib.sha256(bytes([0, 0, 1, 0, 0, 0, 0, 0])).hexdigest()[:16]}.bin"))
    path.write_bytes(bytes(8))
    with pytest.raises(InputError, match="labels-new@.* is corrupted"):
        Corpus.open(corpus.path, verify=True)


def test_a_full_disk_and_a_read_only_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = build(tmp_path / "c", {})

    def fails(number: int) -> Any:
        raise OSError(number, "")

    for number, line in (
        (errno.ENOSPC, "no space left in .*c; free some"),
        (errno.EFBIG, "c may not hold such a large"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr("pretraingym.lm.corpus.writer.write_atomic", lambda *_, number=number: fails(number))
            with pytest.raises(InputError, match=line), labelling(corpus.path):
                add_labels(corpus, {"new": column(0, 0, 0, 0)})
    with monkeypatch.context() as patch:
        patch.setattr("pretraingym.lm.io.folder_lock.os.open", lambda *_: fails(errno.EROFS))
        with (
            pytest.raises(InputError, match=r"c cannot be written \(\); name a folder where you may write"),
            labelling(corpus.path),
        ):
            raise AssertionError("nothing is computed that cannot be kept")
    assert Corpus.open(corpus.path, verify=True).fingerprint == corpus.fingerprint
    assert not (corpus.path / ".lock").exists()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_kill_while_labels_are_replaced(tmp_path: Path, killed_at: Any) -> None:
    """At every step the corpus is whole, with the old labels or with the new ones; the next labelling clears up."""
    old = {"new": [0, 0, 0, 0], "own": [1, 1, 1, 1]}
    new = {"new": [1, 1, 1, 1], "own": [0, 0, 0, 0], "more": [0, 1, 0, 0]}
    corpus = add_labels(build(tmp_path / "c", {}), {name: column(*old[name]) for name in old})
    found = []
    for step in itertools.count(1):
        copy = Corpus.open(Path(shutil.copytree(corpus.path, tmp_path / f"killed-{step}")))
        changed = {name: column(*new[name]) for name in new}
        if not killed_at(step, partial(add_labels, copy, changed, overwrite=True)):
            break
        there = Corpus.open(copy.path, verify=True).labels
        found.append({name: there[name].column.tolist() for name in sorted(there.keys() - {"domain"})})
        again = add_labels(copy, {"new": column(0, 1, 1, 0)}, overwrite=True)
        assert again.labels["new"].column.tolist() == [0, 1, 1, 0]
        assert len(list(copy.path.glob("labels-*.bin"))) == len(again.labels) + 1
    assert found == [old] * found.count(old) + [new] * found.count(new)
    assert min(found.count(old), found.count(new)) >= 1


def test_tokens_per_byte(tiny_corpus: Corpus) -> None:
    split = tiny_corpus.splits["prose/test"]
    texts = [tiny_corpus.text(document) for document in split]
    tokens = sum(1 + len(tiny_corpus.tokenizer().encode(text, add_special_tokens=False)) for text in texts)
    assert tiny_corpus.tokens_per_byte("prose/test") == tokens / sum(len(text.encode()) for text in texts)


def test_damaged_tokens_of_another_tokenizer_are_found(tiny_corpus: Corpus, tmp_path: Path) -> None:
    corpus = Corpus.open(shutil.copytree(tiny_corpus.path, tmp_path / "copy"))
    train_tokenizer(["the quick brown fox"], 260).save(str(tmp_path / "tokenizer.json"))
    folder = Path(corpus.with_tokenizer(tmp_path)._token_folder)
    check_tokens(corpus.path)
    data = bytearray((folder / "tokens.bin").read_bytes())
    data[0] ^= 1
    (folder / "tokens.bin").write_bytes(data)
    with pytest.raises(InputError, match=r"tokens\.bin"):
        Corpus.open(corpus.path, verify=True).with_tokenizer(tmp_path)
    with pytest.raises(InputError, match=r"tokens\.bin"):
        check_tokens(corpus.path)
