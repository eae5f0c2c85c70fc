"""Every finished episode is recorded once, as it was, and recording changes nothing."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pretraingym.env.console.weights import natural_weights
from pretraingym.env.gym_envs.single_env import ConsoleEnv
from pretraingym.env.gym_envs.vector_env import ConsoleVectorEnv
from pretraingym.env.recording.record_file import read_records
from pretraingym.env.scenarios.scenario import Scenario
from pretraingym.env.settings.setting import Setting
from pretraingym.env.settings.surrogate_setting import SurrogateSetting
from pretraingym.lm.backend import Backend
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.io.errors import InputError

Make = Callable[..., Any]
FOREIGN = 'print("not a record")\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "new" / "episodes.jsonl"


@pytest.fixture
def make(tiny_corpus: Corpus, file: Path) -> Make:
    """Surrogates that record."""

    def make(num_envs: int = 0, **given: Any) -> Any:
        options = {"corpus": tiny_corpus.path, "setting": SurrogateSetting(), "records": file, **given}
        if not num_envs:
            return ConsoleEnv(**options)
        return ConsoleVectorEnv(num_envs, **{"autoreset_mode": "SameStep", **options})

    return make


def play(env: Any, steps: int, seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [env.step(rng.uniform(-1, 1, env.action_space.shape).astype(np.float32)) for _ in range(steps)]


def test_a_record_says_what_happened(make: Make, file: Path, tiny_corpus: Corpus) -> None:
    env = make(4, group_size=2, autoreset_mode="NextStep")
    seen, begun = env.reset(seed=3)
    assert not file.exists()
    steps = play(env, env.horizon)
    configs, episodes = read_records(file)
    (config,) = configs.values()
    assert config.setting == SurrogateSetting()
    assert (config.agents, config.tasks) == (env.agent_names, tiny_corpus.reference_tasks)
    assert config.corpus.fingerprint == tiny_corpus.fingerprint
    assert config.columns["domain"] == tiny_corpus.labels["domain"].names
    assert [(episode.group, episode.control) for episode in episodes] == [
        *[(0, False)] * 2, *[(1, False)] * 2, (0, True), (1, True),
    ]  # fmt: skip
    rewards = np.sum([step[1] for step in steps], 0)
    for slot, episode in enumerate(episodes[:4]):
        control = episodes[4 + episode.group]
        assert episode.seed == control.seed == begun["run_seed"][slot]
        assert episode.loss[0] == control.loss[0]
        assert control.loss[-1] - episode.loss[-1] == pytest.approx(rewards[slot], abs=1e-5)
        losses, weights = (np.array([step[4][name][slot] for step in steps]) for name in ("loss", "weights"))
        np.testing.assert_array_equal(episode.loss[1:], losses)
        np.testing.assert_array_equal(episode.weights_IK, weights)
        np.testing.assert_array_equal(episode.tokens[1:], [step[4]["tokens"][slot] for step in steps])
        np.testing.assert_array_equal(episode.train_loss_I, [step[4]["train_loss"][slot] for step in steps])
        assert episode.actions_IK is not None
        np.testing.assert_array_equal(
            env.action_map.weights(episode.actions_IK, np.tile(seen["mask"][slot] > 0, (len(weights), 1))), weights
        )
        in_play = [name in dict(episode.scenario.reference) for name in config.tasks]
        assert np.isnan(episode.by_task_IT).all(0).tolist() == [not played for played in in_play]
        assert 0 < episode.wall_s < 60
    assert (episodes[4].weights_IK == natural_weights(len(episodes[4].weights_IK), len(config.agents))).all()


def test_what_was_drawn_is_the_mixture_in_force(make: Make, file: Path) -> None:
    env = make()
    env.reset(seed=1)
    labels = env.runs.task.cells.labels_CA
    mixtures = [env.runs.episode.sampler.natural_NC[0].copy()]
    for action in np.random.default_rng(2).uniform(-1, 1, (env.horizon, *env.action_space.shape)):
        env.step(action)
        mixtures.append(env.runs.episode.shares_NC[0].copy())
    episode = read_records(file)[1][0]
    for column, (name, shares) in enumerate(episode.drawn.items()):
        for row, mixture in zip(shares, mixtures, strict=True):
            for category, share in enumerate(row):
                expected = mixture[labels[:, column] == category].sum()
                assert share == pytest.approx(expected, abs=1e-12), name
        np.testing.assert_allclose(shares.sum(1), 1)


def test_recording_changes_no_number(make: Make, tiny_setting: Setting) -> None:
    answers = []
    for records in ({}, {"records": None}):
        env = make(2, setting=tiny_setting, group_size=2, reward="raw", **records)
        env.reset(seed=5)
        answers.append(play(env, 4))
    for one, other in zip(*answers, strict=True):
        np.testing.assert_array_equal(one[1], other[1])
        for key, value in one[0].items():
            np.testing.assert_array_equal(value, other[0][key])


def test_a_run_that_diverged_is_recorded_as_far_as_it_came(
    make: Make, file: Path, tiny_setting: Setting, break_model: Callable[[Backend, int], None]
) -> None:
    env = make(2, setting=tiny_setting, reward="raw")
    env.reset(seed=0)
    play(env, 1)
    break_model(env.runs.episode.backend, 1)
    play(env, 2)
    sick, healthy = read_records(file)[1]
    assert (sick.diverged, sick.num_intervals, healthy.diverged, healthy.num_intervals) == (True, 2, False, 3)
    assert np.isfinite(sick.loss).tolist() == [True, True, False]
    assert not np.isfinite(sick.by_task_IT[1]).any()


def test_an_episode_that_was_left_is_not_recorded(make: Make, file: Path) -> None:
    env = make()
    env.reset(seed=0)
    play(env, 2)
    env.reset()
    play(env, env.horizon)
    episodes = read_records(file)[1]
    assert [(episode.number, episode.control) for episode in episodes] == [(1, False), (1, True)]


def test_states_and_forks_carry_the_record_on(make: Make, file: Path, tmp_path: Path) -> None:
    env, other = make(), make(records=tmp_path / "other.jsonl")
    env.reset(seed=0, options={"scenario": Scenario((("code", 1.0),), 3.0)})
    play(env, 2)
    kept = env.get_state()
    np.savez(tmp_path / "state.npz", **kept)
    with np.load(tmp_path / "state.npz", allow_pickle=False) as state:
        other.set_state(dict(state))
    twin = env.fork()
    for each in (env, other, twin):
        play(each, env.horizon - 2)
    ours, theirs = read_records(file)[1], read_records(tmp_path / "other.jsonl")[1]
    assert [record.control for record in ours] == [False, True] * 2
    for one, two, three in zip(ours[:2], ours[2:], theirs, strict=True):
        np.testing.assert_array_equal(one.weights_IK, two.weights_IK)
        np.testing.assert_array_equal(one.loss, two.loss)
        np.testing.assert_array_equal(one.loss, three.loss)
    silent = make(records=None)
    silent.reset(seed=1)
    play(silent, 1)
    env.set_state(silent.get_state())  # begun where nothing was recorded: not whole, so left out
    play(env, env.horizon - 1)
    assert len(read_records(file)[1]) == 4


def test_a_config_is_written_once(make: Make, file: Path) -> None:
    for setting in (SurrogateSetting(), SurrogateSetting(), SurrogateSetting(twist=0.25)):
        env = make(setting=setting)
        env.reset(seed=0)
        play(env, env.horizon)
    kinds = [json.loads(line)["kind"] for line in file.read_text().splitlines()]
    assert kinds == ["config", *["episode"] * 4, "config", *["episode"] * 2]
    assert {config.setting.twist for config in read_records(file)[0].values()} == {0.5, 0.25}


def test_a_line_that_was_cut_off_is_passed_over(make: Make, file: Path) -> None:
    env = make()
    env.reset(seed=0)
    play(env, env.horizon)
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    assert len(read_records(file)[1]) == 1
    env = make()
    env.reset(seed=0)
    play(env, env.horizon)
    configs, episodes = read_records(file)
    assert (len(configs), [episode.control for episode in episodes]) == (1, [False, False, True])
    assert whole.splitlines()[-1][:-99] + b"\tcut off" in file.read_bytes().splitlines()
    file.write_bytes(whole[:40])  # in the config
    assert read_records(file) == ({}, [])
    env = make()
    env.reset(seed=0)
    play(env, env.horizon)
    assert len(read_records(file)[1]) == 2


KILLED = """
import sys
import numpy as np
from pretraingym.env.gym_envs.surrogate_envs import SurrogateVectorEnv
from pretraingym.env.settings.surrogate_setting import SurrogateSetting
env = SurrogateVectorEnv(num_envs=8, corpus=sys.argv[1], setting=SurrogateSetting(), records=sys.argv[2])
env.reset(seed=int(sys.argv[3]))
while True:
    env.step(np.zeros(env.action_space.shape))
"""


def test_killed_writers_leave_whole_records(make: Make, file: Path, tiny_corpus: Corpus) -> None:
    """Two at a time, killed at whatever instant; the next writer goes on."""
    call = [sys.executable, "-c", KILLED, str(tiny_corpus.path), str(file)]
    writers = [subprocess.Popen([*call, seed]) for seed in "01"]
    while not (file.exists() and file.stat().st_size > 150_000):
        assert all(writer.poll() is None for writer in writers)
    for writer in writers:
        writer.kill()
        writer.wait()
    env = make(8)
    env.reset(seed=9)
    play(env, env.horizon)
    configs, episodes = read_records(file)
    assert len(configs) == 1
    assert len(episodes) >= 16 + 16
    assert len({episode.seed for episode in episodes[-16:]}) == 8


@pytest.mark.parametrize("content", [FOREIGN, '{"kind": "episode"}\n'])
def test_other_files_are_left_alone(make: Make, tmp_path: Path, content: str) -> None:
    (tmp_path / "mine.py").write_text(content)
    with pytest.raises(InputError, match=r"mine\.py is there and holds no records: name another file"):
        make(records=tmp_path / "mine.py")
    assert (tmp_path / "mine.py").read_text() == content
    with pytest.raises(InputError, match="is not a file: name a file for the records"):
        make(records=tmp_path)


def test_settings_that_could_not_be_read_again_are_refused(make: Make, file: Path) -> None:
    class OwnSetting(SurrogateSetting):
        pass

    with pytest.raises(InputError, match="type Setting or SurrogateSetting or ToySetting, this is OwnS"):
        make(setting=OwnSetting())
    assert not file.exists()
