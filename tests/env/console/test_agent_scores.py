"""The lift of agents, and how sure it is."""

import numpy as np
import pytest

from pretraingym.env.console.agent_scores import _mean_and_error
from pretraingym.env.episode import Episode
from pretraingym.env.observation.features import AGENT_FEATURES, column
from pretraingym.env.scenarios.scenario import Scenario
from pretraingym.env.scenarios.task import Task
from pretraingym.env.settings.surrogate_setting import SurrogateSetting
from pretraingym.lm.corpus.corpus import Corpus


def test_the_error_is_that_of_a_mean_of_documents() -> None:
    rng = np.random.default_rng(0)
    z_NKD = rng.normal(0.5, 1.0, (400, 1, 30))
    mean, error = _mean_and_error(z_NKD, np.ones((400, 30)))
    assert mean.std() == pytest.approx(error.mean(), rel=0.1)
    uneven = rng.uniform(0.1, 2.0, 30)
    mean, error = _mean_and_error(z_NKD, np.tile(uneven, (400, 1)))
    assert mean.std() == pytest.approx(error.mean(), rel=0.1)


def test_a_single_document_or_a_few_alike_are_not_sure() -> None:
    """The error of one is the corpus's spread, 1; three that happen to be alike have not none."""
    one, three = (np.zeros((1, 1, count)) + 1.6 for count in (1, 3))
    assert _mean_and_error(one, np.ones((1, 1)))[1] == pytest.approx(1.0)
    assert _mean_and_error(three, np.ones((1, 3)))[1] == pytest.approx(1 / 3)


def test_a_run_that_few_documents_steer_is_less_sure(tiny_corpus: Corpus) -> None:
    setting = SurrogateSetting()
    task = Task(tiny_corpus, setting.context)
    episode = Episode(task, setting.backend(task, 2), setting.episode)
    few = Scenario((("code", 1.0),), 5.0, pool_seed=1, reference_documents=3)
    all_of_them = Scenario((("code", 1.0),), 5.0, pool_seed=1)
    episode.enter([0, 1], [few, all_of_them], [4, 4])
    episode.run_interval(None)
    agents = episode.observe().agents
    place = task.agent_names.index("match-code")
    error, sure, mean = (agents[:, place, column(AGENT_FEATURES, f"lift_{name}")] for name in ("error", "sure", "mean"))
    assert error[0] > 2 * error[1] > 0
    assert sure[1] > sure[0]
    np.testing.assert_allclose(sure, np.maximum(mean - 2 * error, 0), atol=1e-6)
