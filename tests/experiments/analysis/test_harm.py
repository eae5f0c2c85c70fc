"""Harm against natural: its share with an interval, and the worst tenth."""

import numpy as np
import pytest
from scipy.stats import binomtest

from pretraingym.experiments.analysis.harm import HARM_NATS, harm_of, wilson95


def test_harm_counts_what_is_worse_by_more_than_the_threshold() -> None:
    gains = np.array([0.5, 0.3, -HARM_NATS, -HARM_NATS - 0.001, -0.2, *[0.1] * 7])
    told = harm_of(gains)
    assert told.scenarios == 12
    assert told.harmed_share == 2 / 12
    assert told.harmed_ci95 == wilson95(2, 12)
    assert told.gain_nats == pytest.approx(gains.mean())
    assert told.worst_tenth_nats == pytest.approx((-0.2 - HARM_NATS - 0.001) / 2)  # two: a tenth of twelve, rounded up
    assert harm_of(gains[:1]).worst_tenth_nats == 0.5


@pytest.mark.parametrize(("harmed", "scenarios"), [(0, 24), (24, 24), (18, 192), (1, 2)])
def test_the_interval_is_wilsons(harmed: int, scenarios: int) -> None:
    expected = binomtest(harmed, scenarios).proportion_ci(method="wilson")
    assert wilson95(harmed, scenarios) == pytest.approx((expected.low, expected.high), abs=1e-4)
