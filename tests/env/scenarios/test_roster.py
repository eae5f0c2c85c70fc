"""Agents that are absent, twice there or noisy: what the observation shows of it."""

from dataclasses import replace

import numpy as np
import pytest

from pretraingym.env.console.weights import natural_weights
from pretraingym.env.episode import Episode
from pretraingym.env.observation.features import AGENT_FEATURES, column
from pretraingym.env.observation.observation import Observation
from pretraingym.env.scenarios.scenario import Scenario
from pretraingym.env.scenarios.task import Task
from pretraingym.env.settings.surrogate_setting import SurrogateSetting
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.io.errors import InputError

CODE = (("code", 1.0),)
PLAIN = Scenario(CODE, 20.0)
SETTING = SurrogateSetting(twist=0.0)
INTERVALS = 4


@pytest.fixture(scope="module")
def task(tiny_corpus: Corpus) -> Task:
    return SETTING.task(tiny_corpus)


def observed(task: Task, scenarios: list[Scenario], seed: int = 3, intervals: int = INTERVALS) -> Observation:
    """After some intervals under natural."""
    episode = Episode(task, SETTING.backend(task, len(scenarios)), SETTING.episode)
    episode.run_interval(None, episode.enter(list(range(len(scenarios))), scenarios, [seed] * len(scenarios)))
    natural = natural_weights(len(scenarios), len(task.agent_names))
    for _ in range(intervals):
        episode.run_interval(natural)
    return episode.observe()


def feature(seen: Observation, name: str) -> np.ndarray:
    return seen.agents[:, :, column(AGENT_FEATURES, name)]


def test_an_absent_agent_leaves_no_trace(task: Task) -> None:
    agent = task.agent_names.index("quality")
    with_it, without = PLAIN, replace(PLAIN, absent=("quality",))
    seen = observed(task, [with_it, without])
    assert seen.mask[:, agent].tolist() == [True, False]
    assert not seen.agents[1, agent].any()
    others = [index for index in range(len(task.agent_names)) if index != agent]
    same = [index for index, known in enumerate(AGENT_FEATURES) if known.name not in ("ridge", "weight")]
    np.testing.assert_array_equal(seen.agents[1][others][:, same], seen.agents[0][others][:, same])


def test_a_copy_looks_like_its_original(task: Task) -> None:
    quality, match, influence = (task.agent_names.index(name) for name in ("quality", "match-code", "influence"))
    seen = observed(task, [replace(PLAIN, copies=(("quality", "match-code"),)), PLAIN])
    np.testing.assert_array_equal(seen.agents[0, quality], seen.agents[0, match])
    assert (seen.agents[1, quality] != seen.agents[1, match]).any()
    seen = observed(task, [replace(PLAIN, copies=(("quality", "influence"),))])
    np.testing.assert_array_equal(seen.agents[0, quality], seen.agents[0, influence])
    assert feature(seen, "moves")[0, quality] == 1


def test_noise_shows_in_agreement_and_lift(task: Task) -> None:
    """Of an agent that is right, over ten seeds: the more chance, the less of both."""
    agent = task.agent_names.index("match-code")
    shares = (0.0, 0.5, 0.8, 1.0)
    scenarios = [replace(PLAIN, noise=(("match-code", share),) if share else ()) for share in shares]
    seen = [observed(task, scenarios, seed) for seed in range(10)]
    for name in ("agreement", "agreement_allowed", "lift_mean", "lift_useful"):
        means = np.mean([feature(each, name)[:, agent] for each in seen], 0)
        assert (np.diff(means) < 0).all(), name
        assert means[-1] < 0.3 * means[0], name
    chance = np.array([feature(each, "lift_mean")[shares.index(1.0), agent] for each in seen])
    assert len(np.unique(chance)) == len(seen), "runs have the same noise"
    np.testing.assert_array_equal(feature(seen[0], "drift")[:, agent], 0, err_msg="a run's noise changes")


def test_a_run_does_not_depend_on_its_company(task: Task) -> None:
    odd = Scenario(
        CODE,
        pool_budgets=3.0,
        useful_share=0.01,
        junk_share=0.5,
        absent=("influence",),
        copies=(("quality", "topic"),),
        noise=(("match-code", 0.7),),
        lr_scale=1.5,
    )
    alone, crowd = observed(task, [odd]), observed(task, [PLAIN, odd, PLAIN])
    np.testing.assert_allclose(crowd.agents[1], alone.agents[0], atol=1e-6)
    np.testing.assert_allclose(crowd.statistics[1], alone.statistics[0], atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"absent": ("qualty",)}, "scenario names agent 'qualty'; .*quality"),
        ({"absent": ("null",)}, "scenario names agent 'null'"),
        ({"copies": (("quality", "luck"),)}, "scenario names agent 'luck'"),
        ({"noise": (("influence", 0.5),)}, "makes 'influence' noisy, expected a static agent"),
    ],
)
def test_bad_rosters_are_refused(task: Task, fields: dict[str, tuple], message: str) -> None:
    with pytest.raises(InputError, match=message):
        observed(task, [replace(PLAIN, **fields)])


def test_someone_has_to_be_there(task: Task) -> None:
    with pytest.raises(InputError, match="leaves no agent that takes weight"):
        observed(task, [replace(PLAIN, absent=tuple(name for name in task.agent_names if name != "null"))])
    with pytest.raises(InputError, match="expected shares from 0 to 1"):
        replace(PLAIN, noise=(("quality", 1.5),))
