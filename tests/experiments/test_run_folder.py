"""Run folders: what survives a kill, and what is refused."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pretraingym.experiments.run_folder import RunFolder
from pretraingym.lm.errors import InputError


@dataclass(frozen=True)
class Config:
    folder: Path
    size: int = 3
    resume: bool = False


def rows(folder: Path) -> list[int]:
    return [json.loads(line)["n"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_finished_stages_are_not_done_again(tmp_path: Path) -> None:
    path, calls = tmp_path / "run", []
    for resume in (False, True):
        folder = RunFolder(path, Config(path), resume)
        assert folder.stage("one", lambda: calls.append(1) or {"x": len(calls)}) == {"x": 1}
    assert folder.seconds.keys() == {"one"}


def test_rows_of_lost_work_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "run"
    folder = RunFolder(path, Config(path), False)
    folder.stage("one", lambda: folder.log([{"n": 0}]))
    folder.log([{"n": 1}])
    folder.save_checkpoint("two", {"x": np.arange(3.0)})
    folder.log([{"n": 2}])
    again = RunFolder(path, Config(path), True)
    state = again.load_checkpoint("two")
    assert state is not None
    np.testing.assert_array_equal(state["x"], np.arange(3.0))
    assert rows(path) == [0, 1]
    assert again.load_checkpoint("three") is None


def test_without_a_checkpoint_rows_after_the_last_stage_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "run"
    folder = RunFolder(path, Config(path), False)
    folder.stage("one", lambda: folder.log([{"n": 0}]))
    folder.log([{"n": 1}])
    again = RunFolder(path, Config(path), True)
    assert again.load_checkpoint("two") is None
    again.stage("two", lambda: again.log([{"n": 7}]))
    assert rows(path) == [0, 7]


def test_a_folder_of_another_configuration_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run"
    RunFolder(path, Config(path), False)
    with pytest.raises(InputError, match=r"another configuration: size is 3 there, 4 here \(1 differ\)"):
        RunFolder(path, Config(path, size=4), True)
    with pytest.raises(InputError, match="already holds a run of this configuration; add --resume"):
        RunFolder(path, Config(path), False)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and holds no run"):
        RunFolder(tmp_path / "other", Config(path), False)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run"
    folder = RunFolder(path, Config(path), False)
    folder.save_checkpoint("two", {"x": np.arange(3.0)})
    file = path / "checkpoint.safetensors"
    file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(InputError, match="checkpoint.safetensors is damaged"):
        RunFolder(path, Config(path), True).load_checkpoint("two")
