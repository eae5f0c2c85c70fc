"""The mean of gains over windows: by hand, and how often its interval holds the truth."""

import numpy as np
import pytest
from scipy.stats import t

from pretraingym.policies.trials.window_gains import MeanGain, Stratum, mean_gain


def test_one_run_and_documents_of_one_window_are_students_t() -> None:
    gain_W = np.random.default_rng(0).normal(0.1, 1, 20)
    found = mean_gain([Stratum(1.0, gain_W[None], np.arange(20))])
    expected = t.interval(0.95, 19, gain_W.mean(), gain_W.std(ddof=1) / 20**0.5)
    assert found.ci95 == pytest.approx(expected)
    assert found.nats == pytest.approx(gain_W.mean())


def test_windows_of_one_document_do_not_count_as_many() -> None:
    gain_D = np.random.default_rng(0).normal(0.1, 1, 6)
    one = mean_gain([Stratum(1.0, gain_D[None], np.arange(6))])
    many = mean_gain([Stratum(1.0, np.repeat(gain_D, 50)[None], np.repeat(np.arange(6), 50))])
    assert many.ci95 == pytest.approx(one.ci95)


def test_strata_count_by_their_weights() -> None:
    first, second = np.array([[1.0, 2.0], [2.0, 3.0]]), np.array([[5.0, 7.0, 9.0], [5.0, 8.0, 8.0]])
    parts = [Stratum(0.75, first, np.arange(2)), Stratum(-0.25, second, np.arange(3))]
    found = mean_gain(parts)
    assert found.nats == pytest.approx(0.75 * 2 - 0.25 * 7)
    assert found.ci95 is not None
    assert found.ci95[0] < found.nats < found.ci95[1]


def test_one_document_gives_no_interval() -> None:
    found = mean_gain([Stratum(1.0, np.ones((4, 9)), np.zeros(9, np.int64))])
    assert (found.ci95, found.verdict, str(found)) == (None, "unclear", "+1.000 nats, no interval")


def test_two_runs_that_agree_by_chance_are_not_trusted() -> None:
    gain_W = np.random.default_rng(0).normal(0.1, 0.3, 100)
    two = mean_gain([Stratum(1.0, np.stack([gain_W - 0.001, gain_W + 0.001]), np.arange(100))])
    many = mean_gain([Stratum(1.0, np.stack([gain_W - 0.001, gain_W + 0.001] * 8), np.arange(100))])
    assert two.ci95 is not None
    assert many.ci95 is not None
    assert two.ci95[1] - two.ci95[0] > 5 * (many.ci95[1] - many.ci95[0])


def test_where_nothing_differs() -> None:
    found = mean_gain([Stratum(1.0, np.zeros((4, 9)), np.arange(9))])
    assert (found.nats, found.ci95, found.verdict) == (0.0, (0.0, 0.0), "none")


def test_verdicts() -> None:
    assert MeanGain(0.1, (0.05, 0.15)).verdict == "gain"
    assert MeanGain(-0.1, (-0.15, -0.05)).verdict == "harm"
    assert MeanGain(0.1, (-0.05, 0.25)).verdict == "unclear"
    assert str(MeanGain(0.1, (-0.05, 0.25))) == "+0.100 nats, 95% interval [-0.050, +0.250]"


@pytest.mark.parametrize(("runs", "documents"), [(16, 6), (2, 20), (4, 20), (16, 40)])
def test_the_interval_holds_the_truth(runs: int, documents: int) -> None:
    """Of crossed runs and documents of unequal lengths, whose effects are as large as a window's noise; an interval
    that takes windows for independent holds it far less often."""
    rng, held, naive, trials = np.random.default_rng(1), 0, 0, 300
    for _ in range(trials):
        document_W = np.repeat(np.arange(documents), rng.integers(2, 12, documents))
        gain_NW = rng.normal(0, 0.3, (runs, 1)) + rng.normal(0, 0.3, documents)[document_W]
        gain_NW = gain_NW + rng.normal(0, 0.3, gain_NW.shape)
        found = mean_gain([Stratum(1.0, gain_NW, document_W)])
        assert found.ci95 is not None
        held += found.ci95[0] <= 0 <= found.ci95[1]
        alone = mean_gain([Stratum(1.0, gain_NW.mean(0)[None], np.arange(len(document_W)))])
        assert alone.ci95 is not None
        naive += alone.ci95[0] <= 0 <= alone.ci95[1]
    assert held / trials >= 0.92
    assert naive / trials < 0.85
