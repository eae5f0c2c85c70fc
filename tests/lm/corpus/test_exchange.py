"""A corpus under the name of an old one: whatever is killed, one of the two is there and whole."""

import errno
import itertools
import os
import pickle
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pretraingym.lm.corpus import corpus as corpus_module
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.corpus.exchange import OLD, built_aside
from pretraingym.lm.corpus.writer import labelling
from pretraingym.lm.ingest.synthetic import build_synthetic
from pretraingym.lm.io.errors import InputError
from pretraingym.lm.io.folder_lock import locked


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A corpus with another text than the tiny one."""
    return build_synthetic(tmp_path_factory.mktemp("other") / "c", seed=1, documents_per_domain=20)


@pytest.fixture
def old(tiny_corpus: Corpus, tmp_path: Path) -> Path:
    """A copy of the tiny corpus, to be replaced."""
    return Path(shutil.copytree(tiny_corpus.path, tmp_path / "c"))


def rebuild(path: Path, new: Corpus, overwrite: bool = True, then: Callable[[], Any] = lambda: None) -> None:
    with built_aside(path, overwrite) as aside:
        shutil.copytree(new.path, aside)
        then()


def test_it_takes_the_place_of_the_old_one(old: Path, other: Corpus) -> None:
    rebuild(old, other)
    assert Corpus.open(old, verify=True).fingerprint == other.fingerprint
    assert [path.name for path in old.parent.iterdir()] == ["c"]
    assert not (old / ".lock").exists()


def test_what_is_open_stays_readable(old: Path, other: Corpus, tiny_corpus: Corpus) -> None:
    opened = Corpus.open(old)
    rebuild(old, other)
    assert list(opened.texts) == list(tiny_corpus.texts)
    assert (opened.tokens == tiny_corpus.tokens).all()
    assert opened.tokenizer().to_str() == tiny_corpus.tokenizer().to_str() != other.tokenizer().to_str()
    for again in (lambda: pickle.loads(pickle.dumps(opened)), lambda: opened.with_tokenizer(other.path)):
        with pytest.raises(InputError, match="was built anew while this process read it; start the process again"):
            again()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_kill_at_every_step(old: Path, other: Corpus, tiny_corpus: Corpus, killed_at: Any) -> None:
    found, between = [], 0
    for step in itertools.count(1):
        shutil.rmtree(old)
        shutil.copytree(tiny_corpus.path, old)
        if not killed_at(step, lambda: rebuild(old, other)):
            break
        between += not old.exists()
        found.append(Corpus.open(old, verify=True).fingerprint)  # mends what a kill between the renames left
        assert found[-1] in (tiny_corpus.fingerprint, other.fingerprint)
        rebuild(old, tiny_corpus)
        assert Corpus.open(old, verify=True).fingerprint == tiny_corpus.fingerprint
        assert [path.name for path in old.parent.iterdir()] == ["c"]
    assert len(found) > 20
    assert between == 1
    assert found == sorted(found, key=lambda each: each == other.fingerprint), "first the old one, then the new one"
    assert {tiny_corpus.fingerprint, other.fingerprint} == set(found)


def test_labelling_ends_what_a_kill_left(old: Path, other: Corpus) -> None:
    """Killed between the renames, the corpus is put at its place before it is looked for."""
    work = old.with_name(".c.build")
    shutil.copytree(other.path, work / "c.new")
    old.rename(work / OLD)
    with labelling(old):
        assert Corpus.open(old, verify=True).fingerprint == other.fingerprint


def test_an_error_between_the_renames(
    old: Path, other: Corpus, tiny_corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, calls = os.rename, []

    def fails_once(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(os, "rename", fails_once)
    with pytest.raises(KeyboardInterrupt):
        rebuild(old, other)
    assert calls[0].name == OLD
    assert Corpus.open(old, verify=True).fingerprint == other.fingerprint
    assert [path.name for path in old.parent.iterdir()] == ["c"]


def test_opened_between_the_renames(old: Path, other: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """By another thread, which waits for the new one."""
    rename = os.rename

    def slow(source: Path, target: Path) -> None:
        rename(source, target)
        if target.name == OLD:
            opened.append(threads.submit(Corpus.open, old, True))
            time.sleep(0.08)

    monkeypatch.setattr(os, "rename", slow)
    opened: list[Future[Corpus]] = []
    with ThreadPoolExecutor() as threads:
        rebuild(old, other)
        assert opened[0].result().fingerprint == other.fingerprint


@pytest.mark.parametrize("place", ["check_files", "read_manifest", "map_offsets"])
def test_exchanged_while_it_is_opened(old: Path, other: Corpus, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Just before that step: what is opened is the new one, none of it the old one's."""
    step, done = getattr(corpus_module, place), []

    def exchanged(*arguments: Any) -> Any:
        if not done:
            done.append(place)
            rebuild(old, other)
        return step(*arguments)

    monkeypatch.setattr(corpus_module, place, exchanged)
    corpus = Corpus.open(old)
    assert corpus.fingerprint == other.fingerprint
    assert list(corpus.texts) == list(other.texts)


def test_damage_is_told_at_once(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is tried again where nothing changes."""
    monkeypatch.setattr(time, "sleep", None)
    (old / "text.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"text\.bin has 0 bytes"):
        Corpus.open(old)


def test_an_error_leaves_the_old_one(old: Path, tiny_corpus: Corpus, other: Corpus) -> None:
    with pytest.raises(ZeroDivisionError):
        rebuild(old, other, then=lambda: 1 // 0)
    assert Corpus.open(old, verify=True).fingerprint == tiny_corpus.fingerprint
    assert [path.name for path in old.parent.iterdir()] == ["c"]


def test_one_at_a_time(old: Path, other: Corpus) -> None:
    with built_aside(old, True) as aside:
        with pytest.raises(InputError, match=f"another process is at work in {old}; wait for it"):
            rebuild(old, other)
        with pytest.raises(InputError, match="another process is at work"), locked(old):  # as labels are added
            pass
        shutil.copytree(other.path, aside)
    with locked(old), pytest.raises(InputError, match=f"another process is at work in {old}; wait for it"):
        rebuild(old, other)


def test_another_program_puts_a_folder_there(tmp_path: Path, other: Corpus) -> None:
    with pytest.raises(InputError, match="c exists; name a new folder"):
        rebuild(tmp_path / "c", other, overwrite=False, then=(tmp_path / "c").mkdir)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_a_link_stays_a_link(old: Path, other: Corpus) -> None:
    link = old.with_name("link")
    link.symlink_to(old)
    rebuild(link, other)
    assert link.is_symlink()
    assert Corpus.open(link).fingerprint == Corpus.open(old).fingerprint == other.fingerprint


def test_only_a_corpus_is_replaced(old: Path, other: Corpus, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="c exists; name a new folder, or add --overwrite"):
        rebuild(old, other, overwrite=False)
    (tmp_path / "notes").mkdir()
    (tmp_path / "file").touch()
    for name in ("notes", "file"):
        with pytest.raises(InputError, match=f"{name} is no corpus, and --overwrite replaces nothing else"):
            rebuild(tmp_path / name, other)
    (old / "results.csv").touch()
    with pytest.raises(InputError, match=r"c also holds results.csv, which --overwrite would delete; move it"):
        rebuild(old, other)
    (old / "results.csv").unlink()
    for name in ("card.md", "labels-x@0f.bin", ".lock", ".card.md.17.part"):  # what is made in a corpus later
        (old / name).touch()
    for name in ("tokens-0123456789abcdef", "cells-0123456789abcdef"):
        (old / name).mkdir()
    (old / "manifest.json").write_text("{")  # a damaged corpus, whose cure it is
    rebuild(old, other)
    assert Corpus.open(old, verify=True).fingerprint == other.fingerprint


def test_a_corpus_that_cannot_be_written(old: Path, other: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own folder, or the one where it would be built, since this test may run as root, whom no mode stops."""
    system_open = os.open

    def refused_in(folder: Path) -> Callable[..., int]:
        def open_elsewhere(path: Path, *arguments: Any) -> int:
            if Path(path) == folder / ".lock":
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return system_open(path, *arguments)

        return open_elsewhere

    for folder in (old, old.with_name(".c.build")):
        with monkeypatch.context() as patch:
            patch.setattr("pretraingym.lm.io.folder_lock.os.open", refused_in(folder))
            with pytest.raises(InputError, match=r"c cannot be written \(Permission denied\); name a folder where you"):
                rebuild(old, other)
    assert [path.name for path in old.parent.iterdir()] == ["c"]


def test_a_place_that_cannot_be_written(tmp_path: Path, other: Corpus) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file/c cannot be written \(Not a directory\); name a folder where you may"):
        rebuild(tmp_path / "file" / "c", other)
