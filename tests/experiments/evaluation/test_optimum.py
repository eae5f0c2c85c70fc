"""The known best on every scenario that the environments draw, whichever agents are absent."""

from dataclasses import replace

import numpy as np
import pytest

from pretraingym.env.observation.observation import Observation
from pretraingym.env.scenarios.distribution import ScenarioDistribution
from pretraingym.env.scenarios.scenario import Scenario
from pretraingym.env.scenarios.task import Task
from pretraingym.env.settings.surrogate_setting import CLOCK, SurrogateSetting
from pretraingym.experiments.evaluation.optimum import (
    BEST,
    best_static,
    final_losses,
    present_agents,
    scenario_bound,
    search_simplex,
)
from pretraingym.lm.corpus.corpus import Corpus

SETTING = SurrogateSetting()
SHORT = SurrogateSetting(episode=replace(CLOCK, num_intervals=2, probe_windows=16))
PROSE = Scenario((("prose", 1.0),), 20.0)


@pytest.fixture(scope="module")
def task(tiny_corpus: Corpus) -> Task:
    return SETTING.task(tiny_corpus)


def place(task: Task, *names: str) -> list[int]:
    return [task.agent_names.index(name) for name in names]


@pytest.mark.parametrize("split", ["train", "sealed"])
def test_every_scenario_has_a_best_constant_between_natural_and_the_bound(task: Task, split: str) -> None:
    distribution = ScenarioDistribution(split)  # type: ignore[arg-type]
    scenarios = [distribution.numbered(task, 0, number)[0] for number in range(12)]
    assert sum(bool(scenario.absent) for scenario in scenarios) >= 6
    for scenario in scenarios:
        weights, best, natural = best_static(task, SHORT, scenario, seeds=(0,), rounds=0)
        assert weights.sum() == pytest.approx(1)
        assert not weights[place(task, *scenario.absent)].any()
        assert scenario_bound(task, SHORT, scenario) < best <= natural


def test_the_best_without_an_agent_is_the_best_of_those_left(task: Task) -> None:
    """Where the one agent that helps is absent, less is gained, with weights on others; with one left, on it alone."""
    helper = ("domain", "match-prose", "topic", "influence")
    _, with_all, natural = best_static(task, SETTING, PROSE, seeds=(0,), rounds=1)
    weights, without, _ = best_static(task, SETTING, replace(PROSE, absent=helper), seeds=(0,), rounds=1)
    assert natural - without < 0.7 * (natural - with_all)
    assert np.flatnonzero(weights).tolist() == [
        index for index in np.flatnonzero(weights) if task.agent_names[index] not in helper
    ]
    only = tuple(name for name in task.agent_names[1:] if name != "match-prose")
    weights, alone, natural = best_static(task, SETTING, replace(PROSE, absent=only), seeds=(0,), rounds=1)
    assert set(np.flatnonzero(weights)) <= set(place(task, "null", "match-prose"))
    assert natural - alone > 0.3


def test_present_agents_are_those_that_the_observation_masks(task: Task) -> None:
    scenario = replace(PROSE, absent=("quality", "influence"), copies=(("topic", "domain"),))
    seen: list[Observation] = []

    def natural(observation: Observation) -> np.ndarray:
        seen.append(observation)
        return np.eye(len(task.agent_names))[:1]

    final_losses(task, SETTING, scenario, natural, [0])
    np.testing.assert_array_equal(present_agents(task, scenario), seen[0].mask[0])


def test_the_bound_knows_the_pool_and_the_rates(task: Task) -> None:
    """Less useful text, fewer domains or other rates leave a higher bound; text that is gone counts as none."""
    rich = scenario_bound(task, SETTING, replace(PROSE, useful_share=0.3, pool_budgets=5.0))
    assert scenario_bound(task, SETTING, replace(PROSE, useful_share=0.01, pool_budgets=5.0)) > rich + 0.05
    plain = scenario_bound(task, SETTING, PROSE)
    assert scenario_bound(task, SETTING, replace(PROSE, lr_scale=0.5)) > plain + 0.01
    assert scenario_bound(task, SETTING, replace(PROSE, without=(("domain", "prose"),))) > plain + 0.1
    assert scenario_bound(task, SETTING, replace(PROSE, without=(("domain", "data"),))) == pytest.approx(
        plain, abs=0.01
    )


def test_the_search_finds_a_point_of_the_simplex() -> None:
    goal = np.array([0.2, 0.5, 0.0, 0.3])
    found = search_simplex(lambda weights_NK: ((weights_NK - goal) ** 2).sum(1), 4)
    assert found.shape == (BEST, 4)
    np.testing.assert_allclose(found.sum(1), 1)
    np.testing.assert_allclose(found[0], goal, atol=0.05)
