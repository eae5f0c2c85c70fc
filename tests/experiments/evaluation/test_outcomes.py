"""Policies side by side on one scenario."""

from dataclasses import replace

import numpy as np
import pytest

from pretraingym.env.episode import Episode
from pretraingym.env.scenarios.distribution import ScenarioDistribution
from pretraingym.env.scenarios.task import Task
from pretraingym.env.settings.setting import Setting
from pretraingym.experiments.analysis.statistics import NATURAL_ANEW
from pretraingym.experiments.evaluation.outcomes import outcomes
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.proxies.stack import ProxyStack
from pretraingym.policies.baselines.fixed import Uniform
from pretraingym.policies.baselines.rules import Lift


def test_a_run_that_diverges_ends_alone(
    tiny_corpus: Corpus, tiny_setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, train = Task(tiny_corpus, tiny_setting.context), ProxyStack.train
    policies = {"lift": Lift(), "uniform": Uniform()}
    lift = ["natural", *policies].index("lift")
    scenario, seed = ScenarioDistribution("development").numbered(task, 0, 0)
    intervals = iter(range(100))

    def fails(self: ProxyStack, ids: np.ndarray, active: np.ndarray) -> np.ndarray:
        loss = train(self, ids, active)
        return np.where(np.arange(len(loss)) == lift, np.nan, loss) if next(intervals) == 1 else loss  # 0: the warm-up

    monkeypatch.setattr(ProxyStack, "train", fails)
    runs = outcomes(tiny_setting, task, policies, scenario, seed, 8)
    assert runs["lift"]["validation_loss_nats"] is None
    for name in ("natural", "uniform"):
        assert runs[name]["validation_loss_nats"] > 0
        assert runs[name]["tokens"] == tiny_setting.budget_tokens
    assert runs["lift"]["tokens"] < tiny_setting.budget_tokens


def test_natural_anew_has_another_seed_and_the_same_pool(
    tiny_corpus: Corpus, tiny_setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = Task(tiny_corpus, tiny_setting.context)
    scenario, seed = ScenarioDistribution("development").numbered(task, 0, 0)
    entered: list[Episode] = []
    enter = Episode.enter
    monkeypatch.setattr(Episode, "enter", lambda self, *args: (entered.append(self), enter(self, *args))[1])
    alone = outcomes(tiny_setting, task, {"uniform": Uniform()}, scenario, seed, 8)
    both = outcomes(tiny_setting, task, {"uniform": Uniform()}, scenario, seed, 8, anew=True)
    assert list(both) == ["natural", "uniform", NATURAL_ANEW]
    for name, run in alone.items():
        assert both[name]["test_loss_nats"] == pytest.approx(run["test_loss_nats"], abs=1e-4)
    assert both[NATURAL_ANEW]["weights"] == both["natural"]["weights"]
    gap = both[NATURAL_ANEW]["validation_loss_nats"] - both["natural"]["validation_loss_nats"]
    assert 1e-4 < abs(gap) < 0.5
    unpinned = replace(scenario, pool_seed=None)  # the run's seed decides on the pool: still one for all
    again = outcomes(tiny_setting, task, {"uniform": Uniform()}, unpinned, seed, 8, anew=True)
    assert again == outcomes(
        tiny_setting, task, {"uniform": Uniform()}, replace(scenario, pool_seed=seed), seed, 8, True
    )
    for episode in entered[1:]:
        pool_NC, seed_N = episode.sampler.pool_NC, episode.seed_N
        np.testing.assert_array_equal(pool_NC[-1], pool_NC[0])
        assert seed_N[-1] != seed_N[0] == seed_N[1]
