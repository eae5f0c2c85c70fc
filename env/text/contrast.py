"""A classifier of some documents against the others; each document is scored by a model that was not fitted on it."""

import numpy as np
from numpy.typing import NDArray

from ...lm.io.errors import InputError
from .corpus_text import NUM_FEATURES, CorpusText, TextBatch

FOLDS = 3
MAX_NEGATIVES = 3000
INVERSE_REGULARISATION = 10.0


class Contrast:
    """Log-odds of being like the documents `positives` (numbers, rising) and unlike the others of the sample, classes
    balanced, by logistic regression. It is cross-fitted: a document that models are fitted on is scored by the model
    that was not fitted on it, or it would look better than documents like it. The others get the mean of all models."""

    def __init__(self, documents: CorpusText, positives: NDArray[np.int64], rng: np.random.Generator) -> None:
        from sklearn.linear_model import LogisticRegression

        negatives = rng.permutation(np.setdiff1d(documents.sample, positives))[:MAX_NEGATIVES]
        if min(len(positives), len(negatives)) < FOLDS:
            raise InputError(
                f"a classifier of {len(positives)} documents against {len(negatives)} others was asked for, expected "
                f"at least {FOLDS} of each: give more text, or leave out the agents quality and match (--agents)"
            )
        self.fitted = np.concatenate([positives, negatives])
        features = documents.features(self.fitted)
        columns = np.unique(features.indices)  # the others would get no weight and cost time
        features = features[:, columns]
        truth = np.arange(len(self.fitted)) < len(positives)
        # Neighbours come from the same file and are alike, so neighbouring positives go into the same fold.
        fold = np.concatenate([np.arange(len(positives)) * FOLDS // len(positives), np.arange(len(negatives)) % FOLDS])
        weights, intercept = np.zeros((FOLDS, NUM_FEATURES), np.float32), np.zeros(FOLDS)
        self.unseen = np.zeros(len(self.fitted))  # log-odds of each by the model that was not fitted on it
        for number in range(FOLDS):
            model = LogisticRegression(C=INVERSE_REGULARISATION, class_weight="balanced", max_iter=200, tol=1e-3)
            model.fit(features[fold != number], truth[fold != number])
            self.unseen[fold == number] = model.decision_function(features[fold == number])
            weights[number, columns], intercept[number] = model.coef_[0], model.intercept_[0]
        self.weights, self.intercept = weights.mean(0), intercept.mean()

    def log_odds(self, batch: TextBatch) -> NDArray[np.float64]:
        """Log-odds of the documents in `batch`, (D,)."""
        scores = np.asarray(batch.features @ self.weights, np.float64) + self.intercept
        place = self.fitted - batch.first
        inside = (place >= 0) & (place < len(scores))
        scores[place[inside]] = self.unseen[inside]
        return scores
