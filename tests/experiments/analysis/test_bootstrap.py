"""The bootstrap over clusters, scenarios, seeds and policies, against closed forms and brute force."""

import numpy as np
import pytest

from pretraingym.experiments.analysis.bootstrap import bootstrap_weights, ci95, resampled


def test_independent_scenarios_give_the_plain_standard_error() -> None:
    """Where every scenario is a cluster of one run, a resampled mean varies by the biased variance over n."""
    values = np.random.default_rng(0).normal(size=(40, 1))
    weights = bootstrap_weights(range(40), 1, draws=20_000)
    np.testing.assert_allclose(weights.sum(1), 1)
    assert (weights @ values[:, 0]).std() == pytest.approx(values.std() / 40**0.5, rel=0.03)
    low, high = ci95(resampled(weights, values[..., None]))
    assert (low + high) / 2 == pytest.approx(values.mean(), abs=0.01)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 40**0.5, rel=0.05)


def test_scenarios_that_are_one_count_once() -> None:
    """Ten clusters of four equal scenarios with two equal seeds are ten numbers, not eighty."""
    ten = np.random.default_rng(1).normal(size=10)
    values = np.repeat(ten, 4)[:, None] * np.ones((1, 2))
    weights = bootstrap_weights(np.repeat(np.arange(10), 4).tolist(), 2, draws=20_000)
    assert (weights @ values.reshape(-1)).std() == pytest.approx(ten.std() / 10**0.5, rel=0.03)


def test_every_level_adds_its_variance() -> None:
    """Of independent runs in clusters of 3 scenarios with 2 seeds: the variance of a resampled mean is, in expectation,
    (1 - 1/C) of the clusters' means plus within parts (Davison and Hinkley 1997, 3.8); here by brute force."""
    rng = np.random.default_rng(2)
    values = rng.normal(size=(12, 1)).repeat(2, 1) + 0.5 * rng.normal(size=(12, 2))
    clusters = np.repeat(np.arange(4), 3)
    means = values.reshape(4, 3, 2)
    drawn = []
    for _ in range(20_000):
        of = [means[c][rng.integers(3, size=3)] for c in rng.integers(4, size=4)]
        drawn.append(np.mean([row[rng.integers(2, size=2)].mean() for part in of for row in part]))
    weights = bootstrap_weights(clusters.tolist(), 2, draws=20_000)
    assert (weights @ values.reshape(-1)).std() == pytest.approx(np.std(drawn), rel=0.03)


def test_a_policy_learned_thrice_is_three_numbers() -> None:
    """Where the runs of a policy are all alike and policies differ, resampled means vary as those of so few numbers."""
    three = np.random.default_rng(3).normal(size=3)
    values = np.broadcast_to(three, (20, 2, 3))
    draws = resampled(bootstrap_weights(range(20), 2, draws=20_000), values)
    assert draws.mean() == pytest.approx(three.mean(), abs=0.02)
    assert draws.std() == pytest.approx(three.std() / 3**0.5, rel=0.03)
