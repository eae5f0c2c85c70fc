"""topic: what a document is about, by clustering its words (tf-idf, truncated SVD, k-means).

The topic agent of arXiv 2410.08102, whose 13 topics come from 10,000 clusters that a large language model summarised
and a classifier learned. Departures: clusters of word counts, fitted on the corpus at hand; and those of LabelAgent.
"""

import numpy as np
from numpy.typing import NDArray

from ...lm.corpus.corpus import Labels
from ...lm.io.errors import InputError
from ..text.corpus_text import CorpusText, TextBatch
from ..text.words import content_words, typical_words
from .base import Array, LabelAgent

NUM_COMPONENTS = 32
FITTED = 6000  # documents that the components and centres are fitted on
READ = 2000  # documents that are read for words, because hashed features do not tell their words


class TopicAgent(LabelAgent):
    """Clusters of the training text, named by the words that set each apart. No values: nobody knows which helps."""

    name = "topic"
    moves = True

    def __init__(self, topics: int = 12) -> None:
        self.topics = topics

    def fit(self, documents: CorpusText, rng: np.random.Generator) -> None:
        from sklearn.cluster import MiniBatchKMeans
        from sklearn.decomposition import TruncatedSVD

        fitted = np.sort(rng.permutation(documents.sample)[:FITTED])
        read = fitted[:: max(1, len(fitted) // READ)]
        words, self.columns = content_words(documents.texts[int(document)] for document in read)
        if len(words) < 2:
            raise InputError("agent 'topic' finds fewer than two different words in the text: leave it out of --agents")
        features = documents.features(fitted)[:, self.columns]
        seed = int(rng.integers(1 << 31))
        reduce = TruncatedSVD(min(NUM_COMPONENTS, len(words) - 1), n_iter=4, random_state=seed).fit(features)
        self.components = reduce.components_.astype(np.float32)
        cluster = MiniBatchKMeans(min(self.topics, len(fitted)), batch_size=2048, n_init=5, random_state=seed)
        points = self._points(features)
        used = np.unique(cluster.fit(points).predict(points))  # no empty categories
        self.centres = cluster.cluster_centers_[used].astype(np.float32)
        labels, mean = self._nearest(points), np.asarray(features.mean(0)).ravel()
        self.topic_names = []
        for topic in range(len(self.centres)):
            inside = features[labels == topic]
            self.topic_names.append(f"{topic} {' '.join(typical_words(words, inside, mean))}")

    def measure(self, batch: TextBatch) -> Array:
        return self._nearest(self._points(batch.features[:, self.columns])).astype(np.float64)

    def annotate(self, measured_D: Array, documents: CorpusText) -> Labels:
        return Labels(tuple(self.topic_names), None, measured_D.astype(np.uint16))

    def _points(self, features: Array) -> NDArray[np.float32]:
        points = features @ self.components.T
        return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)

    def _nearest(self, points: NDArray[np.float32]) -> NDArray[np.intp]:
        return np.argmax(2 * points @ self.centres.T - (self.centres**2).sum(1), axis=1)
