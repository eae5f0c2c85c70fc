"""EvoTorch: PGPE evolves a linear policy with GymNE, which makes one environment after another."""

import gymnasium as gym
import torch
from evotorch.algorithms import PGPE
from evotorch.neuroevolution import GymNE
from gymnasium.wrappers import FlattenObservation

from pretraingym.experiments.compat.scoring import ENV, report

POPULATION, GENERATIONS = 24, 8

torch.manual_seed(0)
problem = GymNE(
    lambda: FlattenObservation(gym.make(ENV)),
    "Linear(obs_length, act_length)",
    observation_normalization=True,
)
searcher = PGPE(
    problem,
    popsize=POPULATION,
    center_learning_rate=0.05,
    stdev_learning_rate=0.1,
    stdev_init=0.1,
    optimizer="clipup",
    optimizer_config={"max_speed": 0.1},
)
searcher.run(GENERATIONS)
policy = problem.to_policy(searcher.status["center"])


def act(observation: torch.Tensor) -> torch.Tensor:
    """EvoTorch's own policy, which normalises observations and clips actions."""
    with torch.no_grad():
        return policy(torch.as_tensor(observation))


report("evotorch", act)
