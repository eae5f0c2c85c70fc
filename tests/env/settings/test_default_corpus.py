"""The default corpus on a made-up installation: built once, kept under a hash, the same bytes each time."""

from pathlib import Path
from typing import Any

import pytest

from pretraingym.env.settings import default_corpus as module
from pretraingym.env.settings.default_corpus import default_corpus
from pretraingym.lm.corpus import manifest
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.ingest.installed_files import SourceFile, tree_files


@pytest.fixture(autouse=True)
def files(fake_site: Path, monkeypatch: pytest.MonkeyPatch) -> list[SourceFile]:
    """The made-up installation in place of this one."""
    files = tree_files(fake_site, "made-up")
    monkeypatch.setattr(module, "installed_files", lambda: files)
    return files


def test_builds_once_and_reports_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first call reads, tokenises and labels; the second opens what is there."""
    heard: list[tuple[str, float]] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    corpus = default_corpus(300, lambda stage, share: heard.append((stage, share)))
    assert list(dict.fromkeys(stage for stage, _ in heard)) == ["read", "tokenise", "label"]
    assert all(0 <= share <= 1 for _, share in heard)
    assert corpus.path.parent == tmp_path / "pretraingym"
    assert corpus.vocab_size == 300
    assert corpus.reference_tasks == ("prose", "code")
    assert list(corpus.labels) == ["domain", "match-code", "match-prose", "quality", "topic"]
    monkeypatch.setattr(module, "installed_documents", None)
    assert default_corpus(300).fingerprint == corpus.fingerprint


def test_same_bytes_again(tmp_path: Path) -> None:
    """Two builds in two folders have one fingerprint, which covers every file; both verify."""
    first, second = default_corpus(300, cache=tmp_path / "a"), default_corpus(300, cache=tmp_path / "b")
    assert first.fingerprint == second.fingerprint
    assert first.path != second.path
    Corpus.open(second.path, verify=True)


def test_other_installation_other_corpus(
    tmp_path: Path, files: list[SourceFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another vocabulary, a file more or less, or another schema is another folder in the cache."""
    monkeypatch.setattr(module, "label_corpus", lambda *_, **__: {})
    default_corpus(300, cache=tmp_path)
    default_corpus(310, cache=tmp_path)
    monkeypatch.setattr(module, "installed_files", lambda: files[:-1])
    default_corpus(300, cache=tmp_path)
    later = manifest.SCHEMA + 1
    for owner in (manifest, module):
        monkeypatch.setattr(owner, "SCHEMA", later)
    default_corpus(300, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def test_interrupted_build_leaves_an_empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped while labelling, nothing is left, and the next call builds it all."""

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "label_corpus", stop)
        with pytest.raises(KeyboardInterrupt):
            default_corpus(300, cache=tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert default_corpus(300, cache=tmp_path).num_documents > 100


def test_two_processes_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process put the same corpus in place while this one was building: theirs is opened."""
    monkeypatch.setattr(module, "label_corpus", lambda *_, **__: {})
    build = module.build_corpus

    def twice(path: Path, splits: Any, tasks: Any, vocab_size: Any, annotate: Any, *rest: Any) -> Corpus:
        def annotate_late(*arguments: Any) -> Any:
            if not path.exists():
                made = build(path.with_name("theirs"), splits, tasks, vocab_size, annotate, *rest)
                made.path.rename(path)
            return annotate(*arguments)

        return build(path, splits, tasks, vocab_size, annotate_late, *rest)

    monkeypatch.setattr(module, "build_corpus", twice)
    corpus = default_corpus(300, cache=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [corpus.path.name]
