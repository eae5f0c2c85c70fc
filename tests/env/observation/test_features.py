"""What features claim, in situations in which it is known."""

import numpy as np
import pytest

from pretraingym.env.episode import Episode
from pretraingym.env.observation.features import AGENT_FEATURES, TRAINING_FEATURES, column
from pretraingym.env.observation.influence_moments import InfluenceMoments
from pretraingym.env.observation.observation import Observation
from pretraingym.env.scenarios.scenario import Scenario
from pretraingym.env.scenarios.task import Task
from pretraingym.env.settings.surrogate_setting import SurrogateSetting
from pretraingym.lm.corpus.corpus import Corpus

SETTING = SurrogateSetting(twist=0.0)
CODE = Scenario((("code", 1.0),), 20.0)


@pytest.fixture(scope="module")
def task(tiny_corpus: Corpus) -> Task:
    return SETTING.task(tiny_corpus)


def observed(task: Task, scenarios: list[Scenario], agent: str = "null", intervals: int = 4) -> Observation:
    episode = Episode(task, SETTING.backend(task, len(scenarios)), SETTING.episode)
    episode.run_interval(None, episode.enter(list(range(len(scenarios))), scenarios, [5] * len(scenarios)))
    weights = np.eye(len(task.agent_names))[[task.agent_names.index(agent)] * len(scenarios)]
    for _ in range(intervals):
        episode.run_interval(weights)
    return episode.observe()


def feature(seen: Observation, name: str) -> np.ndarray:
    return seen.agents[:, :, column(AGENT_FEATURES, name)]


def training(seen: Observation, name: str) -> np.ndarray:
    return seen.statistics[:, column(TRAINING_FEATURES, name)]


def test_a_scarce_favoured_cell_shows(task: Task) -> None:
    row = task.agent_names.index("match-code")
    scarce, plentiful = (
        Scenario(CODE.reference, 2.0, useful_share=share, junk_share=0.99 - share) for share in (0.01, 0.4)
    )
    seen = observed(task, [scarce, plentiful])
    projected = feature(seen, "epochs_projected")[:, row]
    assert projected[0] > projected[1] + 0.5
    np.testing.assert_allclose(training(seen, "scarcity")[0], training(seen, "scarcity")[1], atol=0.2)  # not the pool
    drawn = observed(task, [scarce, plentiful], "match-code")
    used = feature(drawn, "epochs_used")[:, row]
    assert used[0] > used[1]
    assert (used > feature(seen, "epochs_used")[:, row]).all()


def test_draws_show_where_they_lead(task: Task) -> None:
    row = task.agent_names.index("match-code")
    natural, pushed = observed(task, [CODE]), observed(task, [CODE], "match-code")
    assert abs(feature(natural, "draw_mean")[0, row]) < 5e-3
    assert feature(natural, "draw_spread")[0, row] == pytest.approx(1, abs=5e-3)
    assert feature(pushed, "draw_mean")[0, row] > 0.5
    assert training(natural, "divergence")[0] == pytest.approx(0, abs=1e-3)
    assert training(natural, "effective_cells")[0] == pytest.approx(1, abs=5e-3)
    assert training(pushed, "divergence")[0] > 0.3
    assert training(pushed, "effective_cells")[0] < 0.9


def test_agents_that_help_one_task_alone_show_by_task(task: Task) -> None:
    """match-code agrees with code, not with prose: the mean hides it, the minimum does not."""
    row = task.agent_names.index("match-code")
    both = Scenario((("prose", 0.5), ("code", 0.5)), 20.0)
    seen = observed(task, [CODE, both])
    lowest, mean = feature(seen, "agreement_task_min")[:, row], feature(seen, "agreement_task_mean")[:, row]
    assert lowest[0] == mean[0] > 0.1  # one task in play
    assert lowest[1] < 0 < lowest[0]
    assert lowest[1] < mean[1] < mean[0]


def test_agreement_over_what_noise_allows_is_that_with_the_clean_influence() -> None:
    """Scores of cells against influence of which four fifths are the windows' own: correlations halve, not these."""
    rng = np.random.default_rng(0)
    moments, clean = InfluenceMoments(1, 2, 1), []
    for _ in range(40):
        cell = np.sort(rng.integers(40, size=200))
        worth = np.sin(cell / 6.0)  # neighbouring cells are alike
        z = np.stack([worth, worth + rng.normal(size=40)[cell]])
        influence = worth / worth.std() + 2 * rng.normal(size=200)
        moments.update(z[None], influence[None], np.full((1, 200), 1 / 200))
        clean.append([np.corrcoef(row, worth)[0, 1] for row in z])
    allowed = moments.agreement()[0] / moments.ceiling()[0]
    assert moments.agreement()[0, 0] == pytest.approx(0.45, abs=0.05)
    np.testing.assert_allclose(allowed, np.mean(clean, 0), atol=0.15)


def test_pure_noise_has_a_low_ceiling_and_pure_signal_none() -> None:
    share = np.full((1, 500), 1 / 500)
    rng, slow = np.random.default_rng(0), np.linspace(-1, 1, 500)[None]
    for influence, low, high in ((rng.normal(size=(1, 500)), 0.2, 0.35), (slow, 0.99, 1.0)):
        moments = InfluenceMoments(1, 1, 1)
        moments.update(slow[:, None], influence, share)
        assert low <= moments.ceiling()[0] <= high


def test_task_agreement_is_a_weighted_correlation_and_skips_tasks_not_in_play() -> None:
    rng = np.random.default_rng(0)
    z, share = rng.normal(size=(1, 3, 50)), rng.dirichlet(np.ones(50))[None]
    r = np.stack([z[0, 1] + rng.normal(size=50), np.full(50, np.nan)])[None]
    moments = InfluenceMoments(1, 3, 2)
    for _ in range(3):
        moments.update_tasks(z, r * 1e-5, share)  # whatever the unit
    covariance = np.cov(np.vstack([z[0], r[0, 0]]), aweights=share[0])
    expected = covariance[:3, 3] / np.sqrt(np.diag(covariance)[:3] * covariance[3, 3])
    np.testing.assert_allclose(moments.task_agreement()[0, 0], expected)
    assert not moments.task_agreement()[0, 1].any()
