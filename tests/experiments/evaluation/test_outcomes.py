"""Policies side by side on one scenario."""

import numpy as np
import pytest

from pretraingym.env.scenarios.distribution import ScenarioDistribution
from pretraingym.env.scenarios.task import Task
from pretraingym.env.settings.setting import Setting
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
