"""JournalVecEnv: a learner killed in the middle and run again, checked bit for bit against one that was not."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from pretraingym.lm.io.errors import InputError
from pretraingym.lm.io.typed_json import to_json
from pretraingym.policies.actors.set_actor import SetActor
from pretraingym.policies.learners.cma_es import CMAES
from pretraingym.policies.learners.ppo import make_ppo
from pretraingym.policies.sb3.journal import ArrayText, Journal, JournalVecEnv, Line, _digest
from pretraingym.policies.sb3.vec_env import SB3ConsoleVecEnv

Make = Callable[..., Any]
STEPS = 6 * 4 * 8  # six batches of eight episodes of four steps


class Kill(Exception):
    """What a kill looks like from inside."""


class KillAt(BaseCallback):
    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def _on_step(self) -> bool:
        if self.n_calls == self.step:
            raise Kill
        return True


def learner(algorithm: str, env: Any, actor: SetActor, seed: int = 0) -> BaseAlgorithm:
    return make_ppo(env, actor, seed=seed) if algorithm == "ppo" else CMAES(env, actor, seed=seed)


def parameters(model: BaseAlgorithm) -> dict[str, torch.Tensor]:
    return model.policy.state_dict()


@pytest.mark.parametrize("fails_at", [(), (1,)])
@pytest.mark.parametrize("algorithm", ["cma-es", "ppo"])
def test_a_killed_learner_ends_as_one_that_was_not(
    algorithm: str, fails_at: tuple[int, ...], toy: Make, toy_actor: SetActor, tmp_path: Path
) -> None:
    plain = learner(algorithm, SB3ConsoleVecEnv(toy(fails_at=fails_at)), toy_actor).learn(STEPS)

    path = tmp_path / "journal"
    for kill_at in (10, 15):  # in the middle of the third and of the fourth batch
        env = JournalVecEnv(SB3ConsoleVecEnv(toy(fails_at=fails_at)), path)
        with pytest.raises(Kill):
            learner(algorithm, env, toy_actor).learn(STEPS, KillAt(kill_at))
    assert len(Journal(path).read()) == 1 + 3

    native = toy()  # the run that failed is on record
    env = JournalVecEnv(SB3ConsoleVecEnv(native), path)
    resumed = learner(algorithm, env, toy_actor).learn(STEPS)
    assert env.num_recorded == 3
    assert native.num_steps == STEPS // 8 - 3 * 4
    assert native.resets == [(0, {"episode": 3})]
    for name, value in parameters(plain).items():
        assert torch.equal(value, parameters(resumed)[name]), name


def test_a_finished_journal_needs_no_environment(toy: Make, toy_actor: SetActor, tmp_path: Path) -> None:
    env = JournalVecEnv(SB3ConsoleVecEnv(toy()), tmp_path / "journal")
    first = CMAES(env, toy_actor).learn(STEPS)
    native = toy()
    second = CMAES(JournalVecEnv(SB3ConsoleVecEnv(native), tmp_path / "journal"), toy_actor).learn(STEPS)
    assert native.resets == []
    assert native.num_steps == 0
    for name, value in parameters(first).items():
        assert torch.equal(value, parameters(second)[name])


def test_refuses_a_journal_of_another_run(toy: Make, toy_actor: SetActor, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    CMAES(JournalVecEnv(SB3ConsoleVecEnv(toy()), path), toy_actor).learn(STEPS)
    with pytest.raises(InputError, match="step 0 has other actions on record"):
        CMAES(JournalVecEnv(SB3ConsoleVecEnv(toy()), path), toy_actor, seed=1).learn(STEPS)
    other = toy()
    original = other._seen
    other._seen = lambda: {key: value + np.float32(0.5) for key, value in original().items()}
    with pytest.raises(InputError, match="does not show what it showed after recorded batch 6"):
        CMAES(JournalVecEnv(SB3ConsoleVecEnv(other), path), toy_actor).learn(2 * STEPS)


def test_one_journal_is_one_call_of_learn(toy: Make, tmp_path: Path) -> None:
    env = JournalVecEnv(SB3ConsoleVecEnv(toy()), tmp_path / "journal")
    env.reset()
    with pytest.raises(InputError, match="one call of learn"):
        env.reset()


SMALL = [{"a": np.arange(3)}, {"a": np.arange(4), "b": np.ones((2, 2))}]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A journal of the SMALL records."""
    journal = Journal(tmp_path / "journal")
    for record in SMALL:
        journal.append(record)
    return journal


def lengths(journal: Journal) -> list[int]:
    """Of array `a` of each record."""
    return [len(record["a"]) for record in journal.read()]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool", "uint8"])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_records_are_exact(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).uniform(0, 2, shape).astype(dtype)
    Journal(tmp_path / "journal").append({"x": array, "transposed": array.T})
    (record,) = Journal(tmp_path / "journal").read()
    for read, written in ((record["x"], array), (record["transposed"], array.T)):
        assert (read.dtype, read.shape, read.tobytes()) == (written.dtype, written.shape, written.tobytes())
        assert read.flags.writeable


def test_a_torn_last_record_is_passed_over_wherever_it_was_cut(journal: Journal) -> None:
    data = journal.path.read_bytes()
    last = data.rstrip(b"\n").rindex(b"\n") + 1
    for size in range(last, len(data), 7):
        journal.path.write_bytes(data[:size])
        assert lengths(journal) == [3], f"cut at byte {size}"
        Journal(journal.path).append({"a": np.arange(5)})
        assert lengths(journal) == [3, 5], f"cut at byte {size}"


def test_a_kill_in_the_first_write_leaves_an_empty_journal(journal: Journal) -> None:
    data = journal.path.read_bytes()
    for size in (1, 10):  # in the first line
        journal.path.write_bytes(data[:size])
        assert journal.read() == []
        Journal(journal.path).append({"a": np.arange(5)})
        assert lengths(journal) == [5]


def test_damage_before_the_last_record_is_an_error(journal: Journal) -> None:
    data = journal.path.read_bytes()
    start = data.index(b"\n") + 1  # of the first record
    end = data.index(b"\n", start)
    for place in range(start, end + 1, 5):
        for change in (1, 8, 128):
            damaged = bytearray(data)
            damaged[place] ^= change
            journal.path.write_bytes(damaged)
            with pytest.raises(InputError, match=r"journal line 2"):
                journal.read()
            assert journal.path.read_bytes() == damaged


def test_a_journal_with_the_observations_old_key_is_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.append({"training": np.zeros(2), "mask": np.ones(2)})
    journal.append({"seen.training": np.ones(2), "last.training": np.ones(3), "dones": np.ones(1, bool)})
    first, batch = journal.read()
    assert (set(first), set(batch)) == ({"statistics", "mask"}, {"seen.statistics", "last.statistics", "dones"})


def test_two_records_that_ran_together_are_an_error(journal: Journal) -> None:
    data = journal.path.read_bytes()
    end = data.index(b"\n", data.index(b"\n") + 1)
    journal.path.write_bytes(data[:end] + b" " + data[end + 1 :])
    with pytest.raises(InputError, match=r"journal line 2 is not valid JSON .* delete it to start anew"):
        journal.read()


def test_arrays_of_objects_are_neither_written_nor_read(journal: Journal) -> None:
    with pytest.raises(InputError, match=r"the dtype of an array for a journal is '\|O', expected '\|b1' or"):
        journal.append({"a": np.array([{"an": "object"}], dtype=object)})
    arrays = {"a": ArrayText("|O", (1,), base64.b64encode(bytes(8)).decode())}
    line = json.dumps(to_json(Line(_digest(arrays), arrays)))  # as from someone who knows the format
    journal.path.write_text(f"{journal.path.read_text()}{line}\n")
    with pytest.raises(InputError, match=r"journal line 4\.arrays\.a\.dtype is '\|O', expected"):
        journal.read()


@pytest.mark.parametrize(("shape", "data"), [((3,), bytes(16)), ((2,), b"..."), ((2**62, 4), bytes(16))])
def test_arrays_that_do_not_fit_their_shape_are_an_error(journal: Journal, shape: tuple[int, ...], data: bytes) -> None:
    arrays = {"a": ArrayText("<f8", shape, base64.b64encode(data).decode())}
    line = json.dumps(to_json(Line(_digest(arrays), arrays)))
    journal.path.write_text(f"{journal.path.read_text()}{line}\n")
    with pytest.raises(InputError, match=r"journal line 4 is damaged \("):
        journal.read()


def test_a_journal_of_another_version_is_told(journal: Journal) -> None:
    journal.path.write_bytes(b"PGJ1" + bytes(60))
    with pytest.raises(InputError, match="journal was written by an earlier version .its format is 1, .* start anew"):
        journal.read()
    journal.path.write_text('{"kind": "journal", "schema": 3}\n')
    with pytest.raises(InputError, match="journal was written by a later version"):
        journal.read()
    journal.path.write_text('{"kind": "config"}\n')
    with pytest.raises(InputError, match="journal line 1 lacks the key 'schema'"):
        journal.read()
