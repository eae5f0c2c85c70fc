"""Run folders: what survives a kill, and what is refused."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from pretraingym.experiments.progress import Progress
from pretraingym.experiments.runs.run_corpus import corpus_of_run
from pretraingym.experiments.runs.run_folder import RunFolder, check_folder
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.ingest.synthetic import build_synthetic
from pretraingym.lm.io.errors import InputError


@dataclass(frozen=True)
class Config:
    folder: Path
    size: int = 3
    resume: bool = False


def rows(folder: Path) -> list[int]:
    return [json.loads(line)["n"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_finished_stages_are_not_done_again(tmp_path: Path, tiny_corpus: Corpus) -> None:
    path, calls = tmp_path / "run", []
    for resume in (False, True):
        folder = RunFolder(path, Config(path), resume, tiny_corpus)
        folder.close()
        assert folder.stage("one", lambda: calls.append(1) or {"x": len(calls)}) == {"x": 1}
    assert folder.seconds.keys() == {"one"}


def test_rows_of_lost_work_are_dropped(tmp_path: Path, tiny_corpus: Corpus) -> None:
    path = tmp_path / "run"
    folder = RunFolder(path, Config(path), False, tiny_corpus)
    folder.stage("one", lambda: folder.log([{"n": 0}]))
    folder.log([{"n": 1}])
    folder.save_checkpoint("two", {"x": np.arange(3.0)})
    folder.log([{"n": 2}])
    folder.close()
    again = RunFolder(path, Config(path), True, tiny_corpus)
    state = again.load_checkpoint("two")
    assert state is not None
    np.testing.assert_array_equal(state["x"], np.arange(3.0))
    assert rows(path) == [0, 1]
    assert again.load_checkpoint("three") is None


@pytest.mark.parametrize("name", ["config.json", "stages.json"])
@pytest.mark.parametrize("damage", ["{", "[]", '{"one": 1}'])
def test_damaged_files_are_told(tmp_path: Path, tiny_corpus: Corpus, name: str, damage: str) -> None:
    path = tmp_path / "run"
    folder = RunFolder(path, Config(path), False, tiny_corpus)
    folder.stage("one", lambda: 1)
    folder.close()
    (path / name).write_text(damage)
    for _ in range(2):  # the second time too: the first one left no lock
        with pytest.raises(InputError, match=f"{name} is damaged|holds a run of another configuration"):
            RunFolder(path, Config(path), True, tiny_corpus)


def test_another_policy_of_the_same_path_is_refused(tmp_path: Path, tiny_corpus: Corpus) -> None:
    path = tmp_path / "run"
    RunFolder(path, Config(path), False, tiny_corpus, learned={"mine": "abc"}).close()
    with pytest.raises(InputError, match="sha256.mine is abc there, abd here"):
        RunFolder(path, Config(path), True, tiny_corpus, learned={"mine": "abd"})
    RunFolder(path, Config(path), True, tiny_corpus, learned={"mine": "abc"}).close()
    saved = json.loads((path / "config.json").read_text())
    del saved["sha256"]  # as an earlier version left it
    (path / "config.json").write_text(json.dumps(saved))
    RunFolder(path, Config(path), True, tiny_corpus, learned={"mine": "abd"}).close()


def test_without_a_checkpoint_rows_after_the_last_stage_are_dropped(tmp_path: Path, tiny_corpus: Corpus) -> None:
    path = tmp_path / "run"
    folder = RunFolder(path, Config(path), False, tiny_corpus)
    folder.stage("one", lambda: folder.log([{"n": 0}]))
    folder.log([{"n": 1}])
    folder.close()
    again = RunFolder(path, Config(path), True, tiny_corpus)
    assert again.load_checkpoint("two") is None
    again.stage("two", lambda: again.log([{"n": 7}]))
    assert rows(path) == [0, 7]


def test_a_folder_of_another_configuration_is_refused(tmp_path: Path, tiny_corpus: Corpus) -> None:
    path = tmp_path / "run"
    RunFolder(path, Config(path), False, tiny_corpus).close()
    with pytest.raises(InputError, match=r"another configuration: size is 3 there, 4 here; name another --folder"):
        RunFolder(path, Config(path, size=4), True, tiny_corpus)
    with pytest.raises(InputError, match="already holds a run of this configuration; add --resume"):
        RunFolder(path, Config(path), False, tiny_corpus)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and holds no run"):
        RunFolder(tmp_path / "other", Config(path), False, tiny_corpus)
    assert [entry.name for entry in (tmp_path / "other").iterdir()] == ["thesis.txt"]


def test_a_run_of_before_a_list_was_configurable_goes_on(tmp_path: Path, tiny_corpus: Corpus) -> None:
    @dataclass(frozen=True)
    class Later(Config):
        limits: tuple[str, ...] = ()

    path = tmp_path / "run"
    RunFolder(path, Config(path), False, tiny_corpus).close()
    RunFolder(path, Later(path), True, tiny_corpus).close()
    with pytest.raises(InputError, match=r"limits is None there, \['one'\] here; name another --folder"):
        RunFolder(path, Later(path, limits=("one",)), True, tiny_corpus)


def test_what_is_free_may_differ_with_all_that_it_holds(tmp_path: Path, tiny_corpus: Corpus) -> None:
    @dataclass(frozen=True)
    class Nested(Config):
        inner: Config = Config(Path("a"))

    path = tmp_path / "run"
    RunFolder(path, Nested(path), False, tiny_corpus).close()
    later = Nested(path, inner=Config(Path("b"), 7))
    with pytest.raises(InputError, match=r"inner.folder is a there, b here; inner.size is 3 there, 7 here"):
        RunFolder(path, later, True, tiny_corpus)
    RunFolder(path, later, True, tiny_corpus, free=("inner",)).close()
    RunFolder(path, later, True, tiny_corpus, free=("inner.folder", "inner.size")).close()


def test_a_folder_is_checked_without_being_made(tmp_path: Path, tiny_corpus: Corpus) -> None:
    path = tmp_path / "run"
    assert check_folder(path, Config(path), False) == {"size": 3}
    assert not path.exists()
    RunFolder(path, Config(path), False, tiny_corpus).close()
    with pytest.raises(InputError, match="add --resume"):
        check_folder(path, Config(path), False)


def test_a_damaged_checkpoint_is_named(tmp_path: Path, tiny_corpus: Corpus) -> None:
    path = tmp_path / "run"
    folder = RunFolder(path, Config(path), False, tiny_corpus)
    folder.save_checkpoint("two", {"x": np.arange(3.0)})
    file = path / "checkpoint.safetensors"
    file.write_bytes(file.read_bytes()[:20])
    folder.close()
    with pytest.raises(InputError, match="checkpoint.safetensors is damaged"):
        RunFolder(path, Config(path), True, tiny_corpus).load_checkpoint("two")


def test_a_checkpoint_of_an_earlier_version_is_told(tmp_path: Path, tiny_corpus: Corpus) -> None:
    path = tmp_path / "run"
    RunFolder(path, Config(path), False, tiny_corpus).close()
    about = json.dumps({"name": "two", "metrics_bytes": 0, "elapsed_s": 1.0})  # without the number of its format
    save_file({"x": np.arange(3.0)}, path / "checkpoint.safetensors", {"about": about})
    for _ in range(2):  # the second time too: the first one left no lock
        with pytest.raises(InputError, match="checkpoint.safetensors was written by an earlier version"):
            RunFolder(path, Config(path), True, tiny_corpus)


def test_a_run_keeps_its_corpus(tmp_path: Path, tiny_corpus: Corpus) -> None:
    path = tmp_path / "run"
    other = build_synthetic(tmp_path / "other", seed=1, documents_per_domain=20)
    assert corpus_of_run(path, other.path, Progress()).fingerprint == other.fingerprint
    RunFolder(path, Config(path), False, other)
    assert corpus_of_run(path, None, Progress()).fingerprint == other.fingerprint  # and does not build the default one
    (tmp_path / "other").rename(tmp_path / "moved")
    (tmp_path / "other").symlink_to(tiny_corpus.path)
    with pytest.raises(InputError, match="is not the corpus that the run in .* began with"):
        corpus_of_run(path, None, Progress())


def test_one_process_at_a_time(tmp_path: Path, tiny_corpus: Corpus) -> None:
    path = tmp_path / "run"
    folder = RunFolder(path, Config(path), False, tiny_corpus)
    with pytest.raises(InputError, match="another process is at work in"):
        RunFolder(path, Config(path), True, tiny_corpus)
    folder.close()
    RunFolder(path, Config(path), True, tiny_corpus)


def test_a_kill_in_the_first_write_blocks_nothing(tmp_path: Path, tiny_corpus: Corpus) -> None:
    path = tmp_path / "run"
    path.mkdir()
    (path / ".config.json.123.part").write_text("{")
    RunFolder(path, Config(path), True, tiny_corpus)
    assert (path / "config.json").exists()


def test_seconds_and_memory_add_up_over_sessions(tmp_path: Path, tiny_corpus: Corpus) -> None:
    path = tmp_path / "run"
    folder = RunFolder(path, Config(path), False, tiny_corpus)
    folder.stage("one", lambda: None)
    time.sleep(0.3)
    folder._t0 = time.perf_counter() - 0.3
    folder.save_checkpoint("two", {})
    folder.close()
    again = RunFolder(path, Config(path), True, tiny_corpus)
    again.stage("two", lambda: again.load_checkpoint("two"))
    assert 0.3 <= again.seconds["two"] < 3
    assert again.peak_rss_mib > 50
