"""Optuna: its default sampler searches the best constant action."""

import gymnasium as gym
import numpy as np
import optuna

from pretraingym.experiments.compat.scoring import ENV, constant, report

ENVS, TRIALS = 48, 40

env = gym.make_vec(ENV, num_envs=ENVS)
num_agents = gym.spaces.flatdim(env.single_action_space)


def objective(trial: optuna.Trial) -> float:
    """Mean return of a constant action over the same episodes, nats."""
    action = [trial.suggest_float(f"action_{agent}", -1, 1) for agent in range(num_agents)]
    env.reset(seed=0)
    total, done = np.zeros(ENVS), np.zeros(ENVS, bool)
    while not done.all():
        _, reward, terminated, truncated, _ = env.step(np.tile(np.array(action, np.float32), (ENVS, 1)))
        total += reward * ~done
        done |= terminated | truncated
    return float(total.mean())


optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
study.enqueue_trial({f"action_{agent}": 0.0 for agent in range(num_agents)})
study.optimize(objective, TRIALS)

report("optuna", constant(list(study.best_params.values())))
