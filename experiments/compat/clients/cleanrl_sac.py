"""SAC for continuous actions in the structure of CleanRL's single-file scripts, on Gymnasium's SyncVectorEnv."""

import gymnasium as gym
import numpy as np
import torch
import torch.nn.functional as F
from gymnasium.vector import AutoresetMode
from torch import nn

from pretraingym.experiments.compat.scoring import ENV, report

NUM_ENVS, TOTAL_STEPS, LEARNING_STARTS, BATCH_SIZE, UPDATES_PER_STEP = 4, 400, 40, 128, 2
GAMMA, TAU, Q_LR, POLICY_LR = 1.0, 0.01, 1e-3, 1e-3
LOG_STD_MIN, LOG_STD_MAX = -5.0, 0.0


class SoftQNetwork(nn.Module):
    """The value of an action."""

    def __init__(self, num_inputs: int, num_actions: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(num_inputs + num_actions, 128), nn.Linear(128, 128)
        self.fc3 = nn.Linear(128, 1)

    def forward(self, x: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(torch.cat([x, a], 1))))))[:, 0]


class Actor(nn.Module):
    """A normal distribution squashed by tanh."""

    def __init__(self, num_inputs: int, num_actions: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(num_inputs, 128), nn.Linear(128, 128)
        self.fc_mean, self.fc_logstd = nn.Linear(128, num_actions), nn.Linear(128, num_actions)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = F.relu(self.fc2(F.relu(self.fc1(x))))
        log_std = torch.tanh(self.fc_logstd(x))
        return self.fc_mean(x), LOG_STD_MIN + 0.5 * (LOG_STD_MAX - LOG_STD_MIN) * (log_std + 1)

    def get_action(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """An action and its log-probability."""
        mean, log_std = self(x)
        normal = torch.distributions.Normal(mean, log_std.exp())
        sample = normal.rsample()
        action = torch.tanh(sample)
        return action, (normal.log_prob(sample) - torch.log(1 - action**2 + 1e-6)).sum(1)


torch.manual_seed(0)
rng = np.random.default_rng(0)
make = lambda: gym.wrappers.FlattenObservation(gym.make(ENV))  # noqa: E731
envs = gym.vector.SyncVectorEnv([make] * NUM_ENVS, autoreset_mode=AutoresetMode.SAME_STEP)
num_inputs, num_actions = map(gym.spaces.flatdim, (envs.single_observation_space, envs.single_action_space))
actor = Actor(num_inputs, num_actions)
qfs = nn.ModuleList([SoftQNetwork(num_inputs, num_actions) for _ in range(2)])
targets = nn.ModuleList([SoftQNetwork(num_inputs, num_actions) for _ in range(2)])
targets.load_state_dict(qfs.state_dict())
q_optimizer, actor_optimizer = torch.optim.Adam(qfs.parameters(), Q_LR), torch.optim.Adam(actor.parameters(), POLICY_LR)
target_entropy, log_alpha = -2.0 * num_actions, torch.tensor(-3.0, requires_grad=True)
a_optimizer = torch.optim.Adam([log_alpha], Q_LR)
replay: list[tuple[np.ndarray, np.ndarray, np.ndarray, float, float]] = []


def train() -> None:
    """One update of the critics, the actor and the temperature."""
    rows = [replay[index] for index in rng.integers(len(replay), size=BATCH_SIZE)]
    obs, actions, next_obs, rewards, dones = (
        torch.as_tensor(np.array(part), dtype=torch.float32) for part in zip(*rows, strict=True)
    )
    with torch.no_grad():
        next_actions, next_log_pi = actor.get_action(next_obs)
        next_q = torch.min(*(target(next_obs, next_actions) for target in targets)) - log_alpha.exp() * next_log_pi
        target_q = rewards + (1 - dones) * GAMMA * next_q
    q_loss = torch.stack([F.mse_loss(qf(obs, actions), target_q) for qf in qfs]).sum()
    q_optimizer.zero_grad()
    q_loss.backward()
    q_optimizer.step()
    new_actions, log_pi = actor.get_action(obs)
    actor_loss = (log_alpha.exp().detach() * log_pi - torch.min(*(qf(obs, new_actions) for qf in qfs))).mean()
    actor_optimizer.zero_grad()
    actor_loss.backward()
    actor_optimizer.step()
    alpha_loss = (-log_alpha.exp() * (log_pi.detach() + target_entropy)).mean()
    a_optimizer.zero_grad()
    alpha_loss.backward()
    a_optimizer.step()
    with torch.no_grad():
        for parameter, target in zip(qfs.parameters(), targets.parameters(), strict=True):
            target.lerp_(parameter, TAU)


obs, infos = envs.reset(seed=1)
for step in range(TOTAL_STEPS):
    if step < LEARNING_STARTS:
        actions = rng.uniform(-1, 1, (NUM_ENVS, num_actions)).astype(np.float32)
    else:
        with torch.no_grad():
            actions = actor.get_action(torch.as_tensor(obs))[0].numpy()
    next_obs, rewards, terminations, truncations, infos = envs.step(actions)
    real_next_obs = next_obs.copy()
    for index in np.flatnonzero(terminations | truncations):
        real_next_obs[index] = infos["final_obs"][index]
    replay.extend(zip(obs, actions, real_next_obs, rewards, terminations, strict=True))
    obs = next_obs
    if step >= LEARNING_STARTS:
        for _ in range(UPDATES_PER_STEP):
            train()


def act(observation: np.ndarray) -> np.ndarray:
    """The mean action."""
    with torch.no_grad():
        return torch.tanh(actor(torch.as_tensor(observation))[0]).numpy()


report("torch", act)
