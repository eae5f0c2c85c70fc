"""Corpus folders: what is written against what is read back, each kind of damage against its one clear error."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pretraingym.lm.corpus import writer as corpus_writer
from pretraingym.lm.corpus.corpus import Corpus, Labels
from pretraingym.lm.corpus.manifest import fingerprint
from pretraingym.lm.corpus.tokenizer import train_tokenizer
from pretraingym.lm.corpus.writer import CorpusWriter
from pretraingym.lm.ingest.synthetic import TASKS, build_synthetic, synthetic_documents
from pretraingym.lm.io.errors import InputError

TEXTS = {"train": ["ab ab ab\n", "naïve café 🙂", "x"], "t/validation": ["ab"], "t/trial": ["ab"], "t/test": ["ab ab"]}


@pytest.fixture
def copy(tiny_corpus: Corpus, tmp_path: Path) -> Path:
    """A copy of the tiny corpus that a test may damage, without the folders that runs of other tests keep there."""
    return Path(shutil.copytree(tiny_corpus.path, tmp_path / "copy", ignore=shutil.ignore_patterns("tokens-*")))


def write(path: Path, labels: Labels | None = None, splits: dict[str, list[str]] = TEXTS) -> Corpus:
    """A corpus of a few words with one task "t"."""
    with CorpusWriter(path, ("t",)) as writer:
        for split, texts in splits.items():
            writer.add_split(split, texts)
        writer.encode(train_tokenizer(TEXTS["train"], 260))
        if labels:
            writer.add_labels("score", labels)
    return Corpus.open(path, verify=True)


def test_round_trip(tmp_path: Path) -> None:
    """Texts, tokens, splits and labels come back; tokens decode to the text."""
    labels = Labels(("low", "high"), (-1.0, 1.0), np.array([0, 1, 0, 1, 1, 0], np.uint16))
    corpus = write(tmp_path / "corpus", labels)
    texts = [text for split in TEXTS.values() for text in split]
    assert list(corpus.texts) == texts
    references = {"t/validation": range(3, 4), "t/trial": range(4, 5), "t/test": range(5, 6)}
    assert corpus.splits == {"train": range(3), **references}
    assert np.diff(corpus.texts.offsets).tolist() == [len(text.encode()) for text in texts]
    tokenizer, offsets = corpus.tokenizer(), corpus.token_offsets
    for document, text in enumerate(texts):
        *tokens, last = corpus.tokens[offsets[document] : offsets[document + 1]].tolist()
        assert tokenizer.decode(tokens) == text
        assert last == corpus.end_of_text == tokenizer.token_to_id("<|endoftext|>")
    assert corpus.labels["score"].names == ("low", "high")
    assert corpus.labels["score"].values == (-1.0, 1.0)
    assert corpus.labels["score"].column.tolist() == [0, 1, 0, 1, 1, 0]
    assert not corpus.tokens.flags.writeable
    assert isinstance(corpus.tokens.base, np.memmap)  # not copied


def test_synthetic_is_deterministic_and_labelled(tiny_corpus: Corpus, tmp_path: Path) -> None:
    """The same seed gives the same bytes, another seed others; labels agree with what was made."""
    assert build_synthetic(tmp_path / "again").fingerprint == tiny_corpus.fingerprint
    assert build_synthetic(tmp_path / "other", seed=1).fingerprint != tiny_corpus.fingerprint
    assert tiny_corpus.reference_tasks == TASKS
    truth = synthetic_documents(0)["train"]
    assert tiny_corpus.labels["domain"].column[: len(truth)].tolist() == [document.domain for document in truth]
    assert set(tiny_corpus.labels) == {"domain", "topic", "quality", "match-prose", "match-code"}
    assert tiny_corpus.labels["match-code"].values == tuple(sorted(tiny_corpus.labels["match-code"].values or ()))


def test_every_flipped_byte_is_caught(copy: Path) -> None:
    """Verify names the file that changed, whichever it is and wherever in it."""
    rng = np.random.default_rng(0)
    for path in sorted(copy.iterdir()):
        original = path.read_bytes()
        for position in (0, len(original) - 1, int(rng.integers(len(original)))):
            damaged = bytearray(original)
            damaged[position] ^= 1
            path.write_bytes(damaged)
            with pytest.raises(InputError, match=path.name):
                Corpus.open(copy, verify=True)
        path.write_bytes(original)
    Corpus.open(copy, verify=True)


def test_truncated_and_missing_files(copy: Path) -> None:
    """Opening without verifying already finds a file that lacks its end or is gone."""
    for path in sorted(copy.iterdir()):
        original = path.read_bytes()
        path.write_bytes(original[:-1])
        with pytest.raises(InputError, match=path.name):
            Corpus.open(copy)
        path.unlink()
        with pytest.raises(InputError, match=path.name):
            Corpus.open(copy)
        path.write_bytes(original)
    with pytest.raises(InputError, match="is no corpus"):
        Corpus.open(copy.parent / "nowhere")


def test_offsets_of_another_text(copy: Path) -> None:
    """Opening without verifying already finds offsets that do not end where the text does."""
    path = copy / "text_offsets.bin"
    original = path.read_bytes()
    for place in (0, -8):
        damaged = bytearray(original)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"text_offsets.bin runs from \d+ to \d+, expected 0 to"):
            Corpus.open(copy)


def test_other_schema_and_edited_manifest(copy: Path) -> None:
    """A schema from another version and a manifest edited by hand are told apart and refused."""
    path = copy / "manifest.json"
    manifest = json.loads(path.read_bytes())
    path.write_text(json.dumps(manifest | {"vocab_size": 7}))
    with pytest.raises(InputError, match="fingerprint"):
        Corpus.open(copy)
    other = manifest | {"schema": 99}
    path.write_text(json.dumps(other | {"fingerprint": fingerprint(other)}))
    with pytest.raises(InputError, match="schema 99, this version reads 4"):
        Corpus.open(copy)
    path.write_text("[]")
    with pytest.raises(InputError, match="schema None"):
        Corpus.open(copy)


def test_manifest_hashes_are_of_the_files(copy: Path) -> None:
    """The manifest names every other file, with the SHA-256 that hashlib gives its bytes."""
    files = json.loads((copy / "manifest.json").read_bytes())["files"]
    assert set(files) == {path.name for path in copy.iterdir()} - {"manifest.json"}
    for name, facts in files.items():
        assert facts["sha256"] == hashlib.sha256((copy / name).read_bytes()).hexdigest()


@pytest.mark.parametrize("when", ["splits", "encode", "labels", "finish"])
def test_interrupted_build_leaves_nothing(tmp_path: Path, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped at any stage, the folder is as it was; then the same build goes through."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        method = {"splits": "add_split", "encode": "encode", "labels": "add_labels", "finish": "_finish"}[when]
        patch.setattr(CorpusWriter, method, stop)
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / "corpus", Labels(("a",), None, np.zeros(6, np.uint16)))
    assert list(tmp_path.iterdir()) == []
    assert write(tmp_path / "corpus").num_documents == 6


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No space left is one clear error, and nothing stays behind."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(corpus_writer, "encode", full)
    with pytest.raises(InputError, match="no space left"):
        write(tmp_path / "corpus")
    assert list(tmp_path.iterdir()) == []


def test_existing_folder_is_kept(tmp_path: Path) -> None:
    """A build never writes over a folder that is there."""
    (tmp_path / "corpus").mkdir()
    with pytest.raises(InputError, match="exists"):
        write(tmp_path / "corpus")


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        (Labels(("a",), None, np.zeros(4, np.uint16)), r"expected uint16 \(6,\)"),
        (Labels(("a",), None, np.zeros(6, np.int64)), "int64"),
        (Labels(("a",), None, np.ones(6, np.uint16)), "expected below 1"),
        (Labels(("a",), (float("nan"),), np.zeros(6, np.uint16)), "finite value"),
        (Labels(("a",), (1.0, 2.0), np.zeros(6, np.uint16)), "finite value"),
    ],
)
def test_bad_labels(tmp_path: Path, labels: Labels, complaint: str) -> None:
    """Labels of the wrong length, type, range or value are refused before anything is written."""
    with pytest.raises(InputError, match=complaint):
        write(tmp_path / "corpus", labels)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "splits", [{"train": ["a"]}, TEXTS | {"u/test": ["a"]}, {"train": []}], ids=["missing", "unknown", "empty"]
)
def test_bad_splits(tmp_path: Path, splits: dict[str, list[str]]) -> None:
    """A split that is missing, unknown or empty is refused."""
    with pytest.raises(InputError, match="split"):
        write(tmp_path / "corpus", splits=splits)
    assert list(tmp_path.iterdir()) == []
