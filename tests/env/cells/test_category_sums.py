"""Sums by category against a loop."""

import numpy as np

from pretraingym.env.cells.category_sums import category_sums


def test_against_a_loop() -> None:
    rng = np.random.default_rng(0)
    labels, weight = rng.integers(5, size=(3, 40)).astype(np.uint16), rng.random((3, 40))
    expected = np.zeros((3, 6))
    for run in range(3):
        for label, value in zip(labels[run], weight[run], strict=True):
            expected[run, label] += value
    sums = category_sums(labels, weight, 6)
    np.testing.assert_allclose(sums, expected, rtol=1e-12)
    alone = category_sums(labels[1:2], weight[1:2], 6)
    np.testing.assert_array_equal(sums[1:2], alone, err_msg="a run's sums depend on the other runs")


def test_many_categories_cost_their_sums_alone() -> None:
    """65,535 categories in 64 runs: a one-hot array of the probe would take 4 GB."""
    sums = category_sums(np.full((64, 128), 65_534, np.uint16), np.ones((64, 128)), 65_535)
    assert sums[:, -1].tolist() == [128.0] * 64
