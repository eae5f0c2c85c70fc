r"""D-optimal: constant weights by a designed experiment and a linear fit, as marin-community/marin issue #3489 has it.

Adapted: RegMix (regmix.py) with another design and another regression, and all else alike: episodes, random weights,
standardised returns, the mean of the best. A round tries those of many random weights that together tell most of a
linear model (a D-optimal design: greedily, then by exchanges; Mitchell 1974), beside what earlier rounds tried. The
model is linear in logarithms of the weights, null's among them: so its optimum shares the weight out, where one that is
linear in the weights puts it all on one agent.

Settings: the least weight whose logarithm counts, and how many weights a design is chosen from, are assumed; the
penalty by cross-validation over groups (regression.py).

Evidence: none yet on models. On the surrogate of the tests it gets as near to the best constant as RegMix does.

    pretraingym train-console --learn.algorithm d-optimal \
        --corpus runs/tasks --learn.groups 8 --learn.group-size 4 \
        --learn.distribution.vary reference pool text agents rate \
        --learn.distribution.references lambada squad code docs web wikipedia stackexchange \
        --learn.episodes 480 --learn.seed 1

`experiments/results/corpora/ten-tasks.sh` builds `runs/tasks`.
"""

import numpy as np

from .boosted_trees import SIMULATED, mean_of_best
from .regmix import RegMix
from .regression import Trials
from .search import Array

LEAST_WEIGHT = 0.01  # of a family: less counts as no weight
POOL = 2000  # random weights that a round's design is chosen from
TURNS = 10  # exchanges of a whole design, at most
PRIOR = 1e-3  # information on every term before anything is tried, so that the determinant is never 0


class DOptimal(RegMix):
    """RegMix, but a round tries a D-optimal subset of random weights, and returns are regressed linearly on
    `log_terms`."""

    def to_try(self, count: int) -> Array:
        pool = self.random_weights(POOL)
        terms, before = log_terms(np.concatenate([pool, *self.tried])), PRIOR * np.eye(pool.shape[1] + 2)
        terms = np.column_stack([np.ones(len(terms)), (terms - terms.mean(0)) / np.maximum(terms.std(0), 1e-9)])
        information = before + terms[POOL:].T @ terms[POOL:]
        return pool[d_optimal(terms[:POOL], count, information)]

    def best(self) -> Array:
        terms, returns = log_terms(np.concatenate(self.tried)), np.concatenate(self.returns)
        terms = terms.reshape(-1, self.group_size, terms.shape[1])
        design = (terms - terms.mean(1, keepdims=True)).reshape(len(returns), -1)  # as returns are: less their group's
        group = np.repeat(np.arange(len(terms)), self.group_size)
        coefficients, self.explained = Trials(design, returns, group).fit()
        simulated = self.random_weights(SIMULATED)
        return mean_of_best(simulated, log_terms(simulated) @ coefficients)


def log_terms(weights: Array) -> Array:
    """Logarithms of the weights of families, and of null's, in units of `LEAST_WEIGHT`, (rows, families + 1); all but
    null's are 0 where nothing has weight."""
    null = 1 - weights.sum(1, keepdims=True)
    return np.log1p(np.column_stack([weights, null]) / LEAST_WEIGHT)


def d_optimal(terms: Array, count: int, before: Array) -> list[int]:
    """Which `count` rows of terms (rows, terms) raise the determinant of `before`, the information (terms, terms) there
    is already, most: greedily one at a time, then each is exchanged for a better one until none is. A row may come
    twice."""
    information, chosen = before.copy(), list[int]()
    for turn in range(1 + TURNS):
        last = list(chosen)
        for place in range(count):
            if turn:
                information -= np.outer(terms[chosen[place]], terms[chosen[place]])
            leverage = ((terms @ np.linalg.inv(information)) * terms).sum(1)
            best = int(leverage.argmax())
            chosen[place : place + 1] = [best]
            information += np.outer(terms[best], terms[best])
        if chosen == last:
            break
    return chosen
