"""Nevergrad: NGOpt searches the best constant action."""

import gymnasium as gym
import nevergrad as ng
import numpy as np

from pretraingym.experiments.compat.scoring import ENV, constant, report

ENVS, BUDGET = 48, 40

env = gym.make_vec(ENV, num_envs=ENVS)


def loss(action: np.ndarray) -> float:
    """Minus the mean return of a constant action over the same episodes, nats."""
    env.reset(seed=0)
    total, done = np.zeros(ENVS), np.zeros(ENVS, bool)
    while not done.all():
        _, reward, terminated, truncated, _ = env.step(np.tile(action, (ENVS, 1)))
        total += reward * ~done
        done |= terminated | truncated
    return -float(total.mean())


space = ng.p.Array(shape=env.single_action_space.shape).set_bounds(-1, 1)
space.random_state.seed(0)
best = ng.optimizers.NGOpt(space, budget=BUDGET).minimize(loss)

report("nevergrad", constant(best.value))
