"""Bins against plain counting: order, shares, values, missing scores and the ends of a scale."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretraingym.lm.corpus.bins import bin_scores, quantile_cuts
from pretraingym.lm.io.errors import InputError


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 50)), min_size=4, max_size=60), st.integers(1, 3))
def test_bins_hold_their_share(scored: list[tuple[int, int]], held_out: int) -> None:
    """Bins keep the order of scores, their shares of the training size differ from those asked for by at most one
    document and its ties, none is empty in training, and values are plain weighted means."""
    scores, sizes = np.array(scored, np.float64).T
    train = range(len(scored) - held_out)
    edges = (0.25, 0.5, 0.75)
    sizes = sizes.astype(np.int64)
    labels = bin_scores(scores, sizes, train, quantile_cuts(scores, sizes, train, edges))
    assert (np.diff(labels.column[np.argsort(scores, kind="stable")].astype(int)) >= 0).all()
    score, size, label = (column[: train.stop] for column in (scores, sizes, labels.column))
    assert set(label.tolist()) == set(range(len(labels.names)))
    for number in range(len(labels.names)):
        inside = label == number
        assert labels.values is not None
        assert np.isclose(labels.values[number], np.average(score[inside], weights=size[inside]))
    tie = max(size[score == value].sum() for value in score)
    for edge in edges:
        below = [size[label < number].sum() for number in range(len(labels.names) + 1)]
        off_by = min(abs(part - edge * size.sum()) for part in below)
        assert off_by <= tie, f"no bin ends at a share of {edge}"


def test_a_score_at_the_top_of_its_scale_is_in_the_top_bin() -> None:
    """Five bins of a score from 0 to 5: a score on a cut falls above it, and 5.0 has no bin of its own."""
    scores = np.array([0.0, 0.999, 1.0, 2.5, 3.0, 4.0, 4.999, 5.0])
    labels = bin_scores(scores, np.ones(8, np.int64), range(8), (1, 2, 3, 4))
    assert labels.column.tolist() == [0, 0, 1, 2, 3, 4, 4, 4]
    assert len(labels.names) == 5


def test_missing_scores_are_a_category_at_the_mean() -> None:
    scores = np.array([1.0, np.nan, 3.0, np.nan])
    labels = bin_scores(scores, np.array([1, 5, 3, 5]), range(4), (2.0,))
    assert labels.names == ("lowest to 2", "2 to highest", "missing")
    assert labels.column.tolist() == [0, 2, 1, 2]
    assert labels.values == (1.0, 3.0, 2.5)


def test_a_bin_without_text_has_the_value_of_its_edge() -> None:
    labels = bin_scores(np.array([0.5, 4.5]), np.ones(2, np.int64), range(2), (1, 2, 3, 4))
    assert labels.values == (0.5, 1, 2, 3, 4.5)


def test_no_score_at_all_is_refused() -> None:
    with pytest.raises(InputError, match="no training document has a score"):
        quantile_cuts(np.full(3, np.nan), np.ones(3, np.int64), range(3))
