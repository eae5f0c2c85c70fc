r"""CMA-ES (Hansen and Ostermeier 2001, by pycma): evolution of an actor's few parameters on whole episodes.

Adapted: candidates meet the same scenarios and are ranked by returns standardised within each group; the covariance is
diagonal and candidates come in mirrored pairs, because there are only some tens of noisy generations.

Settings: the first step from two runs that it decided (`SIGMA`); standardised ranks gained .016 [-.008, .043] nats over
plain means; mirrored pairs by a noisy toy; the rest is pycma's.

Evidence: 24 development scenarios, gain over natural .196 [.072, .312] nats, the lift rule .195
(experiments/results/2026-11-28-standardised/, commit 1731374, whose actor read other features for its strength):

    pretraingym train-console --learn.algorithm cma-es --learn.start lift:strength=0.2,evidence=0 \
        --corpus runs/tasks --learn.groups 4 --learn.group-size 8 \
        --learn.distribution.vary reference pool text agents rate \
        --learn.distribution.references lambada squad code docs web wikipedia stackexchange \
        --learn.episodes 480 --learn.seed 1

`experiments/results/corpora/ten-tasks.sh` builds `runs/tasks`.
"""

import copy
from typing import Any

import cma
import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv
from torch.nn.utils import parameters_to_vector

from ...lm.io.errors import InputError
from ..actors.actor import Actor
from .search import Array, EpisodeSearch, load

# First step of a search that starts from a rule: small, because that start is good and six noisy generations are mostly
# a random walk. With .25, two runs that differed in rounding alone gained .286 and .171 nats on the same targets (the
# start: .281).
SIGMA = 0.1


class CMAES(EpisodeSearch):
    """Candidates = the environment's `group_size`: slot j tries candidate j % group_size for one episode, so that all
    candidates of a generation meet the same scenarios and random numbers. A candidate's return is its summed reward;
    what ranks it is the mean over groups of its return standardised within the group, or the few scenarios in which
    much is won or lost would outweigh the others. `policy` always holds the mean of the search distribution.

    sigma0: first standard deviation of every parameter, in units in which the features are normalised."""

    def __init__(
        self,
        env: VecEnv,
        actor: Actor,
        sigma0: float = 0.25,
        seed: int = 0,
        tensorboard_log: str | None = None,
        verbose: int = 0,
    ) -> None:
        self.sigma0 = sigma0
        super().__init__(env, actor, seed, tensorboard_log, verbose)

    def set_up_search(self, rng: np.random.Generator) -> None:
        if self.group_size < 4:
            raise InputError(
                f"group_size is {self.group_size}, expected at least 4, the candidates that CMA-ES compares"
            )
        self._candidate = copy.deepcopy(self.policy.actor)
        start = parameters_to_vector(self.policy.actor.parameters()).detach().numpy().astype(np.float64)
        self.search = diagonal_search(start, self.sigma0, self.group_size, rng)

    def try_round(self, callback: BaseCallback) -> Array | None:
        candidates = self.search.ask()
        returns = self.evaluate(candidates, callback)
        if returns is None:
            return None
        self.search.tell(candidates, list(-standardised(returns).mean(0)))
        load(self.policy.actor, self.search.result.xfavorite)
        return returns.mean(0)

    def evaluate(self, candidates: list[Array], callback: BaseCallback) -> Array | None:
        """Return of each candidate in each group, (groups, group_size); None if a callback stopped it."""
        returns_N = self.play(lambda seen: self.actions_of(candidates, self._candidate, seen), callback)
        return None if returns_N is None else returns_N.reshape(-1, self.group_size)

    def values_to_log(self) -> dict[str, Any]:
        return {"train/sigma": self.search.sigma}


def make_cma_es(env: VecEnv, actor: Actor, seed: int = 0) -> CMAES:
    """CMA-ES from a copy of `actor`, which is a good start."""
    return CMAES(env, actor, SIGMA, seed)


def diagonal_search(start: Array, sigma0: float, population: int, rng: np.random.Generator) -> Any:
    """The search of pycma from `start`. The covariance is kept diagonal, as a full one cannot be learned in some tens
    of noisy generations, and candidates come in mirrored pairs: without them some searches ran away on a noisy toy."""
    options = {
        "popsize": population,
        "CMA_diagonal": True,
        "CMA_mirrors": population // 2,
        "randn": lambda *shape: rng.standard_normal(shape),
        "seed": np.nan,  # pycma's word for: leave numpy's global generator alone
        "verbose": -9,
    }
    return cma.CMAEvolutionStrategy(start, sigma0, options)


def standardised(returns: Array) -> Array:
    """Each group's returns less their mean, over their deviation; 0 where all of a group are alike."""
    centred = returns - returns.mean(1, keepdims=True)
    return np.asarray(centred / np.maximum(centred.std(1, keepdims=True), 1e-9), np.float64)
