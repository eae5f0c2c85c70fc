"""Features against their table and against numpy: names, bounds, correlations, regressions."""

import numpy as np
import pytest
from torch import nn

from pretraingym.env.cells.sampler import CellSampler
from pretraingym.env.episode import Episode
from pretraingym.env.observation.features import (
    AGENT_FEATURES,
    TRAINING_FEATURES,
    bounds,
    column,
    paper_rewards,
    seen_gaps,
)
from pretraingym.env.observation.influence_moments import InfluenceMoments
from pretraingym.env.observation.observation import Observation
from pretraingym.env.observation.probe import sample_probe
from pretraingym.env.scenarios.scenario import Scenario
from pretraingym.env.scenarios.task import Task
from pretraingym.env.settings.setting import Setting
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.keyed_random import hash64


def test_no_key_is_an_attribute_of_a_torch_module() -> None:
    agents, mask = np.zeros((2, 3, len(AGENT_FEATURES)), np.float32), np.ones((2, 3), bool)
    batch = Observation(agents, mask, np.zeros((2, len(TRAINING_FEATURES)), np.float32)).as_batch()
    taken = set(dir(nn.Module())) | set(dir(nn.ModuleDict()))
    assert "training" in taken
    assert taken.isdisjoint(batch)
    assert set(nn.ModuleDict({key: nn.Identity() for key in batch})) == set(batch)


def test_observations_are_named_bounded_and_finite(tiny_corpus: Corpus, tiny_setting: Setting) -> None:
    task = Task(tiny_corpus, tiny_setting.context)
    episode = Episode(task, tiny_setting.backend(task, 2), tiny_setting.episode)
    episode.run_interval(
        None, episode.enter([0, 1], [Scenario((("prose", 1.0),), 0.2), Scenario((("code", 1.0),), 50.0)], [0, 1])
    )
    weights = np.zeros((2, len(task.agent_names)))
    weights[:, -1] = 1.0
    for _ in range(tiny_setting.episode.num_intervals):
        seen = episode.observe()
        for values, features in ((seen.agents, AGENT_FEATURES), (seen.statistics, TRAINING_FEATURES)):
            low, high = bounds(features)
            assert values.dtype == np.float32
            assert values.shape[-1] == len(features)
            assert ((values >= low) & (values <= high)).all()
        episode.run_interval(weights)
    scarce, plentiful = seen.statistics[:, column(TRAINING_FEATURES, "scarcity")]
    assert scarce > plentiful + 1
    used = seen.agents[:, :, column(AGENT_FEATURES, "epochs_used")]
    assert (used[0, 1:] > used[1, 1:]).all()
    lift = seen.agents[:, :, column(AGENT_FEATURES, "lift_mean")]
    assert lift[0, task.agent_names.index("match-prose")] > 1 > lift[1, task.agent_names.index("match-prose")]
    assert seen.agents[0, -1, column(AGENT_FEATURES, "weight")] == 1.0
    drift, moves = (seen.agents[:, :, column(AGENT_FEATURES, name)] for name in ("drift", "moves"))
    assert ((drift > 0) == (moves == 1)).all()


def test_agreement_is_a_weighted_correlation() -> None:
    rng = np.random.default_rng(0)
    z, r, share = rng.normal(size=(1, 3, 50)), rng.normal(size=(1, 50)), rng.dirichlet(np.ones(50))[None]
    r += z[:, 1]
    moments = InfluenceMoments(1, 3, 1)
    moments.update(z, r, share)
    covariance = np.cov(np.vstack([z[0], r]), aweights=share[0])
    expected = covariance[:3, 3] / np.sqrt(np.diag(covariance)[:3] * covariance[3, 3])
    np.testing.assert_allclose(moments.agreement()[0], expected)
    moments.update(z, np.full((1, 50), np.nan), share)  # an unusable probe changes nothing
    np.testing.assert_allclose(moments.agreement()[0], expected)


def test_ridge_tells_the_cause_from_its_companion() -> None:
    rng = np.random.default_rng(0)
    cause = rng.normal(size=(1, 4000))
    companion = cause + rng.normal(size=(1, 4000))
    moments = InfluenceMoments(1, 2, 1)
    moments.update(
        np.stack([cause, companion], 1), cause + 0.5 * rng.normal(size=(1, 4000)), np.full((1, 4000), 1 / 4000)
    )
    assert moments.agreement()[0, 1] > 0.5
    assert abs(moments.ridge()[0, 1]) < 0.15 < moments.ridge()[0, 0]


def test_paper_reward_is_the_mean_over_categories() -> None:
    labels = np.array([[[0], [0], [2]]])
    z = np.array([[[0.0, 0.0, 0.0], [1.0, 1.0, -2.0]]])
    influence = np.array([[1.0, 3.0, -1.0]])
    reward = paper_rewards(z, influence, labels.astype(np.uint16), np.array([[-1, 0]]))
    np.testing.assert_allclose(reward, [[0.0, (1.0 * 2.0 + -2.0 * -1.0) / 2]])


def test_seen_gap_compares_the_windows_an_agent_favours() -> None:
    z = np.array([[[2.0, 2.0, 2.0, -1.0], [2.0, 2.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]])
    loss, seen = np.array([[1.0, 2.0, 5.0, 9.0]]), np.array([[True, True, False, False]])
    share = np.array([[0.1, 0.3, 0.3, 0.3]])
    # Of its favourites the first agent has both kinds; the second has seen all of them; the third has none.
    np.testing.assert_allclose(seen_gaps(z, loss, seen, share), [[1.75 - 5.0, 0.0, 0.0]])


def test_probes_tell_what_was_drawn(tiny_corpus: Corpus, tiny_setting: Setting) -> None:
    task = Task(tiny_corpus, tiny_setting.context)
    draws = CellSampler(task.cells, 1)
    draws.reset(0, 3, 5000.0, task.cells.natural_C)
    drawn = set(draws.draw(np.array([0]), task.cells.natural_C[None], 200, hash64(np.zeros(1, np.uint64)))[0].tolist())
    probe = sample_probe(draws, np.array([0]), 100, hash64(np.ones(1, np.uint64)))
    assert 10 < probe.seen.sum() < 90
    assert [window in drawn for window in probe.ids[0].tolist()] == probe.seen[0].tolist()


def test_unknown_feature_is_an_error() -> None:
    with pytest.raises(ValueError, match="is not in"):
        column(AGENT_FEATURES, "luck")
