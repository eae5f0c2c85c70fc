"""topic: what a document is about, by clustering its words (tf-idf, truncated SVD, k-means)."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from ..agents.base import Annotation
from ..documents import Documents, vectorizer

NUM_TOPICS = 12
NUM_COMPONENTS = 32
FITTED = 6000  # documents that the components and centres are fitted on
READ = 2000  # documents whose words are looked at, for hashes have no words
COMMON = 0.2  # words in more than this share of the documents tell style, not topic
RARE = 0.004  # words in fewer tell one source
WORDS_IN_NAME = 3


def topic_annotation(documents: Documents, rng: np.random.Generator) -> Annotation:
    """Clusters of the training text, named by the words that set each apart. No values: nobody knows what helps."""
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.decomposition import TruncatedSVD
    from sklearn.preprocessing import normalize

    fitted = np.sort(rng.permutation(np.array(documents.train))[:FITTED])
    words, columns = _content_words(documents, fitted[:: max(1, len(fitted) // READ)])
    features = documents.features[:, columns]
    seed = int(rng.integers(1 << 31))
    components = min(NUM_COMPONENTS, len(words) - 1)
    reduce = TruncatedSVD(components, n_iter=4, random_state=seed).fit(features[fitted])
    points = normalize(reduce.transform(features))
    cluster = MiniBatchKMeans(min(NUM_TOPICS, len(fitted)), batch_size=2048, n_init=5, random_state=seed)
    labels = cluster.fit(points[fitted]).predict(points)
    labels = np.unique(labels, return_inverse=True)[1]  # no empty categories
    names = []
    for topic in range(labels.max() + 1):
        gain = features[labels == topic].mean(0) - features.mean(0)
        top = np.argsort(-np.asarray(gain).ravel(), kind="stable")[:WORDS_IN_NAME]
        names.append(f"{topic} {' '.join(words[i] for i in top)}")
    return Annotation(labels.astype(np.uint16), tuple(names), None)


def _content_words(documents: Documents, sample: NDArray[np.int64]) -> tuple[list[str], NDArray[np.int64]]:
    """(words, the feature column of each): those in a middling share of the sample's documents."""
    analyse = vectorizer().build_analyzer()
    seen = Counter(word for document in sample for word in set(analyse(documents.texts[document])) if word.isalpha())
    limits = RARE * len(sample), COMMON * len(sample)
    words = sorted(word for word, count in seen.items() if limits[0] <= count <= limits[1] and len(word) > 2)
    if len(words) < 2:  # a corpus of very few documents or words
        words = sorted(seen)
    columns, first = np.unique(vectorizer().transform(words).indices, return_index=True)
    return [words[i] for i in first], columns
