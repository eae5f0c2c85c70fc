"""The card in ConsoleEnv's docstring against the feature table and the spaces."""

import inspect
import re
from typing import Any

import gymnasium as gym
import pytest

from pretraingym.env.console.action_map import ActionMap
from pretraingym.env.episode import DIVERGENCE_PENALTY_NATS
from pretraingym.env.gym_envs.single_env import ConsoleEnv
from pretraingym.env.gym_envs.vector_env import ConsoleVectorEnv
from pretraingym.env.observation.features import AGENT_FEATURES, TRAINING_FEATURES, Feature
from pretraingym.env.settings.setting import Setting
from pretraingym.lm.corpus.corpus import Corpus

CARD = inspect.getdoc(ConsoleEnv) or ""


HEADINGS = [("`agents` (K * F,)", AGENT_FEATURES), ("`statistics` (", TRAINING_FEATURES)]


@pytest.mark.parametrize(("heading", "features"), HEADINGS)
def test_the_tables_are_the_feature_tables(heading: str, features: tuple[Feature, ...]) -> None:
    below = CARD[CARD.index(heading) :]
    rows = [row.split(" | ") for row in re.findall(r"^\| (\d.*) \|$", below, re.MULTILINE)][: len(features)]
    assert rows == [
        [str(index), feature.name, f"{feature.low:g}", f"{feature.high:g}", feature.unit, feature.meaning]
        for index, feature in enumerate(features)
    ]


def test_the_sizes_are_those_of_the_spaces(tiny_corpus: Corpus, tiny_setting: Setting) -> None:
    env: Any = gym.make("pretraingym.env:PretrainGym/Console-v2", corpus=tiny_corpus.path, setting=tiny_setting)
    features, statistics = re.search(r"F = (\d+)\s", CARD), re.search(r"`statistics` \((\d+),\)", CARD)
    assert features is not None
    assert statistics is not None
    spaces, num_agents = env.observation_space, len(env.unwrapped.agent_names)
    assert spaces["agents"].shape == (num_agents * int(features[1]),)
    assert spaces["statistics"].shape == (int(statistics[1]),)
    assert spaces["mask"].shape == env.action_space.shape == (num_agents,)


def test_the_numbers_in_its_text_are_the_codes() -> None:
    default = ActionMap()
    assert f"times {default.scale:g} nats" in CARD
    assert "three quarters on `null`" in CARD
    assert default.base_null == 0.75
    assert f"mixed with {default.floor:.0%}" in CARD
    assert f"ends with -{DIVERGENCE_PENALTY_NATS:g}." in CARD
    clock = Setting().episode
    assert f"{clock.warmup_steps / clock.total_steps:.0%} of the budget" in CARD


@pytest.mark.parametrize("kind", [ConsoleEnv, ConsoleVectorEnv])
def test_every_argument_is_explained(kind: type) -> None:
    told = CARD + (inspect.getdoc(kind) or "")
    arguments = set(inspect.signature(kind).parameters) - {"num_envs"}
    assert {name for name in arguments if f"{name}:" not in told} == set()


def test_the_version_is_told() -> None:
    assert any(spec.startswith("PretrainGym/Console-v") for spec in gym.registry)
    (version,) = {spec.rpartition("-")[2] for spec in gym.registry if spec.startswith("PretrainGym/Console-")}
    assert f"\n{version}: " in CARD
