"""A classifier of some documents against the rest, as the log-odds it gives to every document unseen."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

FOLDS = 3
MAX_NEGATIVES = 3000
INVERSE_REGULARISATION = 10.0


def log_odds(
    features: csr_matrix, positives: NDArray[np.int64], pool: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """(D,) log-odds of being like the documents `positives` (rising) and not like those of `pool`, classes balanced, by
    logistic regression on `features` (D, F). Cross-fitted: no document is scored by a model that was fitted on it,
    or the documents it was fitted on would look better than their like; the others get the mean of all models."""
    from sklearn.linear_model import LogisticRegression

    negatives = rng.permutation(np.setdiff1d(pool, positives))[:MAX_NEGATIVES]
    sample = np.concatenate([positives, negatives])
    features = features[:, np.unique(features[sample].indices)]  # the others would get no weight, and cost time
    truth = np.arange(len(sample)) < len(positives)
    # Neighbours come from the same file, which is like itself: positives are folded in runs of neighbours.
    fold = np.concatenate([np.arange(len(positives)) * FOLDS // len(positives), np.arange(len(negatives)) % FOLDS])
    scores = np.zeros((FOLDS, features.shape[0]))
    for number in range(FOLDS):
        model = LogisticRegression(C=INVERSE_REGULARISATION, class_weight="balanced", max_iter=200, tol=1e-3)
        fitted = sample[fold != number]
        scores[number] = model.fit(features[fitted], truth[fold != number]).decision_function(features)
    mean = scores.mean(0)
    mean[sample] = scores[fold, sample]
    return mean
