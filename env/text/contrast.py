"""A classifier of some documents against the others; each document is scored by a model that was not fitted on it."""

import numpy as np
from numpy.typing import NDArray

from ...lm.io.errors import InputError
from .corpus_text import NUM_FEATURES, CorpusText, TextBatch

FOLDS = 3
MAX_PIECES = 3000  # of the positives, and of the others
INVERSE_REGULARISATION = 10.0


class Contrast:
    """Log-odds of being like the documents `positives` (numbers, rising) and unlike the others of the sample, classes
    balanced, by logistic regression on pieces of documents, or on documents where these are kept `whole`; a document's
    are the mean over its pieces. It is cross-fitted: a document that models are fitted on is scored by the model that
    was not fitted on it, or it would look better than documents like it. The others get the mean of all models."""

    def __init__(
        self, documents: CorpusText, positives: NDArray[np.int64], rng: np.random.Generator, whole: bool = False
    ) -> None:
        from scipy.sparse import vstack
        from sklearn.linear_model import LogisticRegression

        others = np.setdiff1d(documents.sample, positives)
        if min(len(positives), len(others)) < FOLDS:
            raise InputError(
                f"a classifier of {len(positives)} documents against {len(others)} others was asked for, expected "
                f"at least {FOLDS} of each: give more text, or leave out the agents quality and match (--agents)"
            )
        self.whole = whole
        like, like_features = documents.some_pieces(positives, MAX_PIECES, rng, whole)
        unlike, unlike_features = documents.some_pieces(others, MAX_PIECES, rng, whole)
        features = vstack([like_features, unlike_features]).tocsr()
        self.columns = np.unique(features.indices)  # the others would get no weight and cost time
        features = features[:, self.columns]
        truth = np.arange(features.shape[0]) < len(like)
        # The others' neighbours are parted at random, or in text that takes its sources in turn a fold has one of them.
        positive_fold, other_fold = neighbours_together(len(positives)), rng.permutation(len(others)) % FOLDS
        fold = np.concatenate([positive_fold[like], other_fold[unlike]])
        self.weights = np.zeros((FOLDS, len(self.columns)), np.float32)
        self.intercept = np.zeros(FOLDS)
        for number in range(FOLDS):
            model = LogisticRegression(C=INVERSE_REGULARISATION, class_weight="balanced", max_iter=200, tol=1e-3)
            model.fit(features[fold != number], truth[fold != number])
            self.weights[number], self.intercept[number] = model.coef_[0], model.intercept_[0]
        read = np.unique(unlike)
        self.fitted = np.concatenate([positives, others[read]])
        self.fold = np.concatenate([positive_fold, other_fold[read]])  # of each of these

    def log_odds(self, batch: TextBatch) -> NDArray[np.float64]:
        """Log-odds of the documents in `batch`, (D,)."""
        weights = np.zeros((NUM_FEATURES, FOLDS), np.float32)
        weights[self.columns] = self.weights.T
        pieces = batch.whole if self.whole else batch.pieces
        by_model = pieces.means(pieces.features @ weights) + self.intercept
        scores = np.asarray(by_model.mean(1), np.float64)
        place, inside = batch.places(self.fitted)
        scores[place] = by_model[place, self.fold[inside]]
        return scores


def neighbours_together(number: int) -> NDArray[np.int64]:
    """The folds of so many documents, (number,): neighbours come from the same file and are alike, so they go into the
    same fold."""
    return np.arange(number) * FOLDS // number
