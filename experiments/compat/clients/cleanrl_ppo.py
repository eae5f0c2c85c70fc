"""PPO for continuous actions in the structure of CleanRL's single-file scripts, on the native vector environment.

After a terminated episode NEXT_STEP makes one step that only resets: its transition is left out of the update.
"""

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import nn
from torch.distributions import Normal

from pretraingym.experiments.compat.scoring import ENV, report

NUM_ENVS, NUM_STEPS, NUM_UPDATES = 32, 28, 14
NUM_MINIBATCHES, UPDATE_EPOCHS = 4, 8
LEARNING_RATE, GAMMA, GAE_LAMBDA, CLIP_COEF, VF_COEF, MAX_GRAD_NORM = 1e-3, 1.0, 0.95, 0.2, 0.5, 0.5


def layer_init(layer: nn.Linear, std: float = 2**0.5) -> nn.Linear:
    """Orthogonal weights, no bias."""
    nn.init.orthogonal_(layer.weight, std)
    nn.init.zeros_(layer.bias)
    return layer


class Agent(nn.Module):
    """A critic, and an actor whose standard deviation does not depend on the observation."""

    def __init__(self, envs: Any) -> None:
        super().__init__()
        (num_inputs,), (num_actions,) = envs.single_observation_space.shape, envs.single_action_space.shape
        self.critic = self._network(num_inputs, 1, 1.0)
        self.actor_mean = self._network(num_inputs, num_actions, 0.01)
        self.actor_logstd = nn.Parameter(torch.full((1, num_actions), -1.0))

    @staticmethod
    def _network(num_inputs: int, num_outputs: int, std: float) -> nn.Sequential:
        hidden = [layer_init(nn.Linear(num_inputs, 64)), nn.Tanh(), layer_init(nn.Linear(64, 64)), nn.Tanh()]
        return nn.Sequential(*hidden, layer_init(nn.Linear(64, num_outputs), std))

    def distribution(self, observation: torch.Tensor) -> Normal:
        return Normal(self.actor_mean(observation), self.actor_logstd.exp())


def rollout(envs: Any, agent: Agent, next_obs: torch.Tensor, next_done: torch.Tensor) -> dict[str, torch.Tensor]:
    """NUM_STEPS steps of all environments, each array (steps, environments, ...)."""
    rows: list[dict[str, torch.Tensor]] = []
    for _ in range(NUM_STEPS):
        with torch.no_grad():
            probs = agent.distribution(next_obs)
            action = probs.sample()
            row = {"obs": next_obs, "action": action, "logprob": probs.log_prob(action).sum(1), "first": next_done}
            row["value"] = agent.critic(next_obs)[:, 0]
        obs, reward, terminations, truncations, _ = envs.step(action.clamp(-1, 1).numpy())
        next_obs, next_done = torch.as_tensor(obs), torch.as_tensor(terminations | truncations).float()
        rows.append(row | {"reward": torch.as_tensor(reward, dtype=torch.float32), "done": next_done})
    batch = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    return batch | {"next_obs": next_obs, "next_done": next_done}


def advantages(batch: dict[str, torch.Tensor], next_value: torch.Tensor) -> torch.Tensor:
    """Generalised advantage estimation; nothing flows back over the end of an episode."""
    values = torch.cat([batch["value"], next_value[None]])
    result, last = torch.zeros_like(batch["reward"]), torch.zeros_like(next_value)
    for step in reversed(range(NUM_STEPS)):
        alive = 1 - batch["done"][step]
        delta = batch["reward"][step] + GAMMA * values[step + 1] * alive - values[step]
        last = delta + GAMMA * GAE_LAMBDA * alive * last
        result[step] = last
    return result


def update(agent: Agent, optimizer: torch.optim.Optimizer, batch: dict[str, torch.Tensor], index: torch.Tensor) -> None:
    """One gradient step of PPO's clipped objective and the value loss on the transitions of `index`."""
    probs = agent.distribution(batch["obs"][index])
    ratio = (probs.log_prob(batch["action"][index]).sum(1) - batch["logprob"][index]).exp()
    advantage = batch["advantage"][index]
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    pg_loss = torch.max(-advantage * ratio, -advantage * ratio.clamp(1 - CLIP_COEF, 1 + CLIP_COEF)).mean()
    v_loss = 0.5 * ((agent.critic(batch["obs"][index])[:, 0] - batch["return"][index]) ** 2).mean()
    optimizer.zero_grad()
    (pg_loss + VF_COEF * v_loss).backward()
    nn.utils.clip_grad_norm_(agent.parameters(), MAX_GRAD_NORM)
    optimizer.step()


torch.manual_seed(0)
envs = gym.wrappers.vector.FlattenObservation(gym.make_vec(ENV, num_envs=NUM_ENVS))
agent = Agent(envs)
optimizer = torch.optim.Adam(agent.parameters(), lr=LEARNING_RATE, eps=1e-5)
obs, infos = envs.reset(seed=1)
next_obs, next_done = torch.as_tensor(obs), torch.zeros(NUM_ENVS)
for _ in range(NUM_UPDATES):
    rolled = rollout(envs, agent, next_obs, next_done)
    next_obs, next_done = rolled.pop("next_obs"), rolled.pop("next_done")
    with torch.no_grad():
        rolled["advantage"] = advantages(rolled, agent.critic(next_obs)[:, 0])
    rolled["return"] = rolled["advantage"] + rolled["value"]
    flat = {name: value.flatten(0, 1) for name, value in rolled.items()}
    real = torch.nonzero(flat["first"] == 0)[:, 0]  # not the steps that only reset
    for _ in range(UPDATE_EPOCHS):
        for index in real[torch.randperm(len(real))].chunk(NUM_MINIBATCHES):
            update(agent, optimizer, flat, index)


def act(observation: np.ndarray) -> np.ndarray:
    """The mean of the policy's distribution."""
    with torch.no_grad():
        return agent.actor_mean(torch.as_tensor(observation)).clamp(-1, 1).numpy()


report("torch", act)
