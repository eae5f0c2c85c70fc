"""Clusters of texts: what is alike is together, and there are as many of a size as are asked for."""

import numpy as np
import pytest

from pretraingym.env.text.clusters import clusters

KINDS = ("star planet orbit comet", "bread flour oven yeast", "violin sonata tempo cello")


def units_of(sizes: list[int], texts: int = 1, seed: int = 0) -> tuple[list[list[str]], list[int]]:
    """Units of so many texts, as many of each kind as `sizes` has, mixed; and the kind of each."""
    rng = np.random.default_rng(seed)
    kinds = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return [[" ".join(rng.choice(KINDS[kind].split(), 8)) for _ in range(texts)] for kind in kinds], kinds.tolist()


def test_what_is_alike_is_together() -> None:
    units, kinds = units_of([40, 30, 20])
    found = clusters(units, 3, 10, 3)
    assert [{kinds[member] for member in cluster.members} for cluster in found] == [{0}, {1}, {2}]
    assert [len(cluster.members) for cluster in found] == [40, 30, 20]
    for kind, cluster in enumerate(found):
        assert set(cluster.words) < set(KINDS[kind].split())


def test_small_clusters_go_elsewhere_and_large_ones_are_split() -> None:
    units, _ = units_of([50, 30, 4])
    for number in (1, 2, 3, 4, 5):
        found = clusters(units, number, 8, 3)
        assert len(found) == number
        assert min(len(cluster.members) for cluster in found) >= 8
        assert sorted(np.concatenate([cluster.members for cluster in found])) == list(range(84))


def test_units_stay_whole_and_their_texts_count() -> None:
    units, kinds = units_of([8, 6], texts=5)
    found = clusters(units, 2, 30, 3)
    assert [{kinds[member] for member in cluster.members} for cluster in found] == [{0}, {1}]
    assert clusters(units, 2, 36, 3) == []
    assert clusters(units, 2, 30, 8) == []
    assert clusters([[*reversed(unit)] for unit in units], 2, 30, 3)[0].members.tolist() == found[0].members.tolist()


@pytest.mark.parametrize("texts", [["same words here"] * 30, [""] * 30, ["..."] * 30])
def test_texts_that_are_all_alike(texts: list[str]) -> None:
    """They are split all the same, or nothing is found; there is no failure."""
    found = clusters([[text] for text in texts], 3, 5, 3)
    assert [len(cluster.members) >= 5 for cluster in found] in ([], [True] * 3)


def test_one_text_is_no_cluster() -> None:
    assert clusters([["same words here"]], 1, 1, 1) == []


def test_one_cluster_has_the_size_too() -> None:
    units, _ = units_of([4, 4])
    assert [len(cluster.members) for cluster in clusters(units, 1, 8, 8)] == [8]
    assert clusters(units, 1, 9, 3) == []
    assert clusters(units, 1, 8, 9) == []
