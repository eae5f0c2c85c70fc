"""Clusters of texts by what they are about: as many as are asked for, none of them small."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .corpus_text import vectorizer
from .words import content_words, typical_words

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

NUM_COMPONENTS = 32
COMMON = 0.5  # more than the topics' .2, which lack the words of a kind that is a fifth of the text
STARTS, SEED = 4, 0  # of k-means


@dataclass(frozen=True)
class Cluster:
    """members: numbers of the units in it, rising; words: the most typical of them."""

    members: NDArray[np.int64]
    words: tuple[str, ...]


def clusters(units: Sequence[Sequence[str]], number: int, texts: int, least_units: int) -> list[Cluster]:
    """`number` clusters of units, which are texts that stay together; each has `texts` texts and `least_units` units or
    more. The largest come first. None at all if there cannot be so many, or hardly: with twice the texts there are; nor
    of one unit.

    k-means on tf-idf of words of middling frequency, reduced by truncated SVD. Units of clusters that are too small go
    to the nearest other one, and the largest cluster is split in two until there are enough."""
    words, columns = content_words((text for unit in units for text in unit), COMMON)
    if len(words) < 2 or len(units) < max(2, number):
        return []
    features = _features(units, columns)
    parting = _Parting(_points(features), np.array([len(unit) for unit in units]), texts, least_units)
    mean = np.asarray(features.mean(0)).ravel()
    return [
        Cluster(members, tuple(typical_words(words, features[members], mean))) for members in parting.parted(number)
    ]


@dataclass(frozen=True)
class _Parting:
    """Parts units, which are points, so that each part has `texts` texts and `least_units` units or more. sizes:
    texts of each unit."""

    points: NDArray[np.float64]
    sizes: NDArray[np.int64]
    texts: int
    least_units: int

    def parted(self, number: int) -> list[NDArray[np.int64]]:
        """The members of each part, rising; the parts with most texts come first. Empty: there are not so many."""
        parts = self._k_means(np.arange(len(self.points)), number)
        whole = [part for part in parts if self._enough(part)] or [np.arange(len(self.points))]
        centres = np.array([self.points[part].mean(0) for part in whole])
        owner = np.full(len(self.points), -1)
        for place, part in enumerate(whole):
            owner[part] = place
        lost = np.flatnonzero(owner < 0)
        owner[lost] = np.argmin(((self.points[lost, None] - centres) ** 2).sum(2), axis=1)
        found = [np.flatnonzero(owner == place) for place in range(len(whole))]
        while len(found) < number:
            found.sort(key=self._order)
            halves = self._halves(found[0])
            if not all(map(self._enough, halves)):
                return []
            found[:1] = halves
        return sorted(found, key=self._order) if all(map(self._enough, found)) else []

    def _order(self, part: NDArray[np.int64]) -> tuple[int, int]:
        return -int(self.sizes[part].sum()), int(part[0])

    def _enough(self, part: NDArray[np.int64]) -> bool:
        return len(part) >= self.least_units and int(self.sizes[part].sum()) >= self.texts

    def _k_means(self, part: NDArray[np.int64], number: int) -> list[NDArray[np.int64]]:
        from sklearn.cluster import KMeans

        distinct = len(np.unique(self.points[part], axis=0))
        label = KMeans(min(number, distinct), n_init=STARTS, random_state=SEED).fit_predict(self.points[part])
        return [part[label == place] for place in np.unique(label)]

    def _halves(self, part: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Two parts by k-means; or if one is too small, as many texts on either side along the line between them."""
        halves = self._k_means(part, 2)
        if len(halves) == 2 and all(map(self._enough, halves)):
            return halves
        line = self.points[halves[-1]].mean(0) - self.points[halves[0]].mean(0)
        order = part[np.argsort(self.points[part] @ line, kind="stable")]
        before = np.cumsum(self.sizes[order]) <= self.sizes[order].sum() / 2
        return [np.sort(order[before]), np.sort(order[~before])]


def _features(units: Sequence[Sequence[str]], columns: NDArray[np.int64]) -> "csr_matrix":
    """(units, words) tf-idf, each unit's of unit length."""
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfTransformer

    counts = vectorizer().transform(text for unit in units for text in unit)[:, columns]
    starts = np.cumsum([0, *(len(unit) for unit in units)])
    gather = csr_matrix((np.ones(starts[-1], np.float32), np.arange(starts[-1]), starts))
    return TfidfTransformer(sublinear_tf=True).fit_transform(csr_matrix(gather @ counts))


def _points(features: "csr_matrix") -> NDArray[np.float64]:
    """(units, components), of unit length. In 64 bits, in which the number of threads does not move a unit."""
    from sklearn.decomposition import TruncatedSVD

    reduce = TruncatedSVD(min(NUM_COMPONENTS, *(side - 1 for side in features.shape)), n_iter=4, random_state=SEED)
    with np.errstate(divide="ignore", invalid="ignore"):  # it divides by a variance, which is 0 if all are alike
        points = reduce.fit_transform(features.astype(np.float64))
    return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
