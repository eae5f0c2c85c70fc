"""d3rlpy: implicit Q-learning from episodes of noisy actions that the native vector environment made."""

import d3rlpy
import gymnasium as gym
import numpy as np
from gymnasium.wrappers.vector import FlattenObservation

from pretraingym.experiments.compat.scoring import ENV, report

ENVS, ROUNDS, STEPS = 128, 8, 1000

env = FlattenObservation(gym.make_vec(ENV, num_envs=ENVS, autoreset_mode=gym.vector.AutoresetMode.DISABLED))
rng = np.random.default_rng(0)
parts: dict[str, list[np.ndarray]] = {"observations": [], "actions": [], "rewards": [], "terminals": []}
for number in range(ROUNDS):
    observation, _ = env.reset(seed=number)
    constant = rng.uniform(-1, 1, (ENVS, gym.spaces.flatdim(env.single_action_space)))
    done, steps = np.zeros(ENVS, bool), []
    while not done.all():
        action = np.clip(constant + rng.normal(0, 0.3, constant.shape), -1, 1).astype(np.float32)
        seen = observation
        observation, reward, done, _, _ = env.step(action)
        steps.append((seen, action, reward, done))
    for name, column in zip(parts, zip(*steps, strict=True), strict=True):
        parts[name].append(np.stack(column, 1).reshape(ENVS * len(steps), -1))  # episode after episode
dataset = d3rlpy.dataset.MDPDataset(**{name: np.concatenate(rounds) for name, rounds in parts.items()})

d3rlpy.seed(0)
iql = d3rlpy.algos.IQLConfig(gamma=1.0, batch_size=128, expectile=0.7, weight_temp=10.0).create(device="cpu")
iql.fit(dataset, n_steps=STEPS, n_steps_per_epoch=STEPS, logger_adapter=d3rlpy.logging.NoopAdapterFactory())

report("d3rlpy", lambda observation: iql.predict(observation))
