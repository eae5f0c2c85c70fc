"""JournalVecEnv: a learner killed in the middle and run again, checked bit for bit against one that was not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from pretraingym.lm.io.errors import InputError
from pretraingym.policies.actors.set_actor import SetActor
from pretraingym.policies.learners.cma_es import CMAES
from pretraingym.policies.learners.ppo import make_ppo
from pretraingym.policies.sb3.journal import JournalVecEnv
from pretraingym.policies.sb3.record_log import append_record, read_records
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
    assert len(read_records(path)) == 1 + 3

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


def test_a_torn_last_record_is_dropped_wherever_it_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "records"
    append_record(path, {"a": np.arange(3)})
    whole = path.stat().st_size
    append_record(path, {"a": np.arange(4), "b": np.ones((2, 2))})
    data = path.read_bytes()
    for size in range(whole, len(data), 7):
        path.write_bytes(data[:size])
        assert [record["a"].tolist() for record in read_records(path)] == [[0, 1, 2]]
        assert path.stat().st_size == whole
    append_record(path, {"a": np.arange(5)})
    assert [record["a"].size for record in read_records(path)] == [3, 5]


def test_damage_before_the_last_record_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "records"
    for size in (3, 4):
        append_record(path, {"a": np.arange(size)})
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged at byte 0"):
        read_records(path)


def test_a_damaged_length_is_not_taken_for_a_torn_end(tmp_path: Path) -> None:
    path = tmp_path / "records"
    for size in (3, 4):
        append_record(path, {"a": np.arange(size)})
    data = bytearray(path.read_bytes())
    data[9] ^= 1  # the first record seems to go on beyond the end of the file
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged at byte 0"):
        read_records(path)
    assert path.read_bytes() == data


def test_records_are_never_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "records"
    append_record(path, {"a": np.array([{"an": "object"}], dtype=object)})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        read_records(path)
