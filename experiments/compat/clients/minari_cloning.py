"""Minari: random episodes are recorded, infos too, read back, and the better half of them is cloned."""

import os
import tempfile

import gymnasium as gym
import numpy as np
import torch
from torch import nn

from pretraingym.experiments.compat.scoring import ENV, report

EPISODES, EPOCHS = 160, 60
os.environ["MINARI_DATASETS_PATH"] = tempfile.mkdtemp()
import minari  # noqa: E402 (it reads the folder on import)

env = minari.DataCollector(gym.make(ENV), record_infos=True)
env.action_space.seed(0)
for episode in range(EPISODES):
    env.reset(seed=episode)
    done = False
    while not done:
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        done = terminated or truncated
env.create_dataset(dataset_id="pretraingym/surrogate/random-v0", algorithm_name="random", eval_env=ENV)

dataset = minari.load_dataset("pretraingym/surrogate/random-v0")
assert isinstance(dataset.recover_environment().unwrapped, type(env.unwrapped))
episodes = list(dataset.iterate_episodes())
assert len(episodes) == EPISODES
assert all(len(episode.infos["loss"]) == len(episode) + 1 for episode in episodes)
middle = np.median([episode.rewards.sum() for episode in episodes])
better = [episode for episode in episodes if episode.rewards.sum() > middle]


def flat(observations: dict[str, np.ndarray], steps: int | None = None) -> torch.Tensor:
    """The observations of an episode or a batch, side by side; an episode has one more than it has actions."""
    return torch.as_tensor(np.concatenate([observations[key][:steps] for key in sorted(observations)], 1))


torch.manual_seed(0)
inputs = torch.cat([flat(episode.observations, len(episode)) for episode in better])
actions = torch.cat([torch.as_tensor(episode.actions) for episode in better])
policy = nn.Sequential(nn.Linear(inputs.shape[1], 32), nn.Tanh(), nn.Linear(32, actions.shape[1]), nn.Tanh())
optimizer = torch.optim.Adam(policy.parameters(), 1e-3, weight_decay=1e-3)
for _ in range(EPOCHS):
    for index in torch.randperm(len(inputs)).split(64):
        loss = ((policy(inputs[index]) - actions[index]) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def act(observation: dict[str, np.ndarray]) -> torch.Tensor:
    """The cloned action."""
    with torch.no_grad():
        return policy(flat(observation))


report("minari", act, flat=False)
