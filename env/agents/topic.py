"""topic: what a document is about, by clustering its words (tf-idf, truncated SVD, k-means).

The topic agent of arXiv 2410.08102, whose 13 topics come from 10,000 clusters that a large language model summarised
and a classifier learned. Departures: clusters of word counts, fitted on the corpus at hand; and those of LabelAgent.
"""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from ...lm.corpus.corpus import Labels
from ...lm.io.errors import InputError
from ..text.corpus_text import CorpusText, TextBatch, vectorizer
from .base import Array, LabelAgent

NUM_COMPONENTS = 32
FITTED = 6000  # documents that the components and centres are fitted on
READ = 2000  # documents that are read for words, because hashed features do not tell their words
COMMON = 0.2  # a word in more than this share of the documents tells style, not topic
RARE = 0.004  # a word in less than this share tells one source
WORDS_IN_NAME = 3


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
        words, self.columns = _content_words(documents, fitted[:: max(1, len(fitted) // READ)])
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
            gain = np.asarray(inside.mean(0)).ravel() - mean if inside.shape[0] else mean
            top = np.argsort(-gain, kind="stable")[:WORDS_IN_NAME]
            self.topic_names.append(f"{topic} {' '.join(words[i] for i in top)}")

    def measure(self, batch: TextBatch) -> Array:
        return self._nearest(self._points(batch.features[:, self.columns])).astype(np.float64)

    def annotate(self, measured_D: Array, documents: CorpusText) -> Labels:
        return Labels(tuple(self.topic_names), None, measured_D.astype(np.uint16))

    def _points(self, features: Array) -> NDArray[np.float32]:
        points = features @ self.components.T
        return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)

    def _nearest(self, points: NDArray[np.float32]) -> NDArray[np.intp]:
        return np.argmax(2 * points @ self.centres.T - (self.centres**2).sum(1), axis=1)


def _content_words(documents: CorpusText, sample: NDArray[np.int64]) -> tuple[list[str], NDArray[np.int64]]:
    """The words in a middling share of the sample's documents, and the feature column of each. InputError: the text has
    fewer than two words."""
    analyse = vectorizer().build_analyzer()
    texts = (documents.texts[int(document)] for document in sample)
    every = Counter(word for text in texts for word in set(analyse(text)) if " " not in word)  # of pairs, no feature
    seen = {word: count for word, count in every.items() if word.isalpha()}
    limits = RARE * len(sample), COMMON * len(sample)
    words = sorted(word for word, count in seen.items() if limits[0] <= count <= limits[1] and len(word) > 2)
    if len(words) < 2:  # a corpus of very few documents or words
        words = sorted(seen) if len(seen) > 1 else sorted(every)
    if len(words) < 2:
        raise InputError("agent 'topic' finds fewer than two different words in the text: leave it out of --agents")
    columns, first = np.unique(vectorizer().transform(words).indices, return_index=True)
    return [words[i] for i in first], columns
