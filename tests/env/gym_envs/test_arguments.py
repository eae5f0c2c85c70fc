"""Arguments and specs: as objects, as mappings, through JSON; and what a spec knows of an episode's length."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode

from pretraingym.env.checks.returns import same
from pretraingym.env.scenarios.distribution import PLAIN, ScenarioDistribution
from pretraingym.env.settings.setting import Setting
from pretraingym.env.settings.surrogate_setting import SurrogateSetting
from pretraingym.env.settings.toy_setting import ToySetting
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.io.errors import InputError

Make = Callable[..., Any]
Actions = Callable[..., Iterator[np.ndarray]]
ID, CONSOLE, HORIZON = "PretrainGym/Surrogate-v2", "PretrainGym/Console-v2", 6
OTHER_SETTING = SurrogateSetting(turn=0.5, agents=("null", "quality"))
OTHER_DISTRIBUTION = ScenarioDistribution("development", PLAIN, ("prose",))


def test_a_spec_goes_through_json(tiny_corpus: Corpus, tiny_setting: Setting, tmp_path: Path) -> None:
    of_surrogate = gym.make(
        ID,
        corpus=tiny_corpus.path,
        setting=OTHER_SETTING,
        distribution=OTHER_DISTRIBUTION,
        records=tmp_path / "episodes.jsonl",
    )
    for env in (of_surrogate, gym.make(CONSOLE, corpus=tiny_corpus.path, setting=tiny_setting)):
        assert env.spec is not None
        again: Any = gym.make(EnvSpec.from_json(env.spec.to_json()))
        for name in ("setting", "distribution", "records"):
            assert getattr(again.unwrapped.runs, name) == getattr(env.unwrapped.runs, name)  # type: ignore[attr-defined]
        assert same(again.reset(seed=1), env.reset(seed=1))


def test_a_spec_of_many_goes_through_json(native: Make) -> None:
    env = native(4, group_size=2, autoreset_mode=AutoresetMode.SAME_STEP, setting=OTHER_SETTING, render_mode="ansi")
    again = gym.make_vec(EnvSpec.from_json(env.spec.to_json()))
    assert (again.num_envs, again.metadata, again.render_mode) == (4, env.metadata, "ansi")
    assert again.unwrapped.runs.setting == OTHER_SETTING
    assert same(again.reset(seed=1), env.reset(seed=1))


def test_arguments_may_be_mappings_of_some_fields(single: Make) -> None:
    runs = single(
        setting={"turn": 1.0, "episode": {"num_intervals": 3}}, distribution={"split": "sealed"}
    ).unwrapped.runs
    default = ToySetting()
    assert (runs.setting.turn, runs.setting.twist, runs.distribution.split) == (1.0, default.twist, "sealed")
    assert (runs.setting.episode.num_intervals, runs.setting.episode.batch_windows) == (3, 8)
    assert single(setting=None).unwrapped.runs.setting == default
    for given, message in (
        ({"setting": {"tern": 1.0}}, "setting has the unknown key 'tern'|setting.*tern"),
        ({"setting": {"type": "x"}}, "setting.type is 'x', expected"),
        ({"setting": 3}, "setting is int, expected a Setting or SurrogateSetting"),
        ({"distribution": 3}, "distribution is int, expected a ScenarioDistribution"),
        ({"distribution": {"split": "x"}}, "split"),
    ):
        with pytest.raises(InputError, match=message):
            single(**given)


def test_the_most_steps_are_known_and_nothing_is_truncated(single: Make, native: Make, actions_of: Actions) -> None:
    env = single()
    assert env.spec.max_episode_steps == env.unwrapped.horizon == native().spec.max_episode_steps == HORIZON
    assert single(setting={"episode": {"num_intervals": 3}}).spec.max_episode_steps == 3
    env.reset(seed=0)
    ends = [env.step(actions)[2:4] for actions in actions_of(env, HORIZON)]
    assert ends == [(False, False)] * (HORIZON - 1) + [(True, False)]
    assert gym.make_vec(native().spec).unwrapped.horizon == HORIZON
    with pytest.raises(InputError, match="max_episode_steps is 3, expected at least 6"):
        native(max_episode_steps=3)
