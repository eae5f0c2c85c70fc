"""Learn a console on the native vector environment with nothing but PyTorch: PPO in one file.

    python -m pretraingym.experiments.examples.plain_torch --rounds 30

The runs of a seed group share scenario, initial weights and random numbers, so the mean return of the others is the
baseline of each (leave-one-out), and no critic is needed. The policy reads every agent's row with the same weights: it
serves any number of agents. Last line: one JSON object with the mean return of the first and of the last three rounds,
nats over natural.
"""

import json
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import tyro
from torch import Tensor, nn

import pretraingym.env  # noqa: F401 (registers the environments)


@dataclass(frozen=True)
class PlainConfig:
    """What is learned, and how."""

    env: str = "PretrainGym/Surrogate-v0"
    """id of the environment; PretrainGym/Console-v0 trains real proxies"""
    corpus: str | None = None
    """folder of a built corpus (default: the environment's own)"""
    num_envs: int = 64
    """runs at a time"""
    group_size: int = 8
    """runs that share scenario and random numbers, at least 2"""
    rounds: int = 30
    """updates, each from one episode of every run"""
    epochs: int = 8
    """gradient steps an update"""
    learning_rate: float = 0.02
    clip: float = 0.2
    """of the probability ratio"""
    seed: int = 0


class Policy(nn.Module):
    """Rows of agents (B, K, F), mask (B, K) and training features (B, S) -> mean action (B, K); one shared spread."""

    def __init__(self, num_features: int, num_training: int, hidden: int = 32) -> None:
        super().__init__()
        self.row = nn.Sequential(nn.Linear(2 * num_features + num_training, hidden), nn.Tanh(), nn.Linear(hidden, 1))
        self.log_std = nn.Parameter(torch.tensor(-1.0))
        nn.init.zeros_(self.row[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.row[-1].bias)  # type: ignore[arg-type]

    def forward(self, agents: Tensor, mask: Tensor, training: Tensor) -> torch.distributions.Normal:
        present = mask[..., None]
        mean_row = (agents * present).sum(1, keepdim=True) / present.sum(1, keepdim=True)
        context = torch.cat([mean_row, training[:, None]], 2).expand(-1, agents.shape[1], -1)
        mean = torch.tanh(self.row(torch.cat([agents, context], 2))[..., 0])
        return torch.distributions.Normal(mean, self.log_std.exp())


def tensors(observation: dict[str, np.ndarray]) -> tuple[Tensor, Tensor, Tensor]:
    """The agents (N, K, F), mask (N, K) and training (N, S) of the environment's observation, whose rows are flat."""
    agents, mask, training = (torch.from_numpy(observation[key]) for key in ("agents", "mask", "training"))
    return agents.view(len(mask), mask.shape[1], -1), mask, training


def rollout(env: Any, policy: Policy, observation: dict[str, np.ndarray]) -> tuple[list[Any], Tensor, dict[str, Any]]:
    """One episode of every run: steps of (observation, action, log probability), rewards (T, N), and the first
    observation of the next episode (the environment begins it by itself)."""
    steps, rewards = [], []
    done = np.zeros(env.num_envs, bool)
    while not done.all():
        seen = tensors(observation)
        with torch.no_grad():
            distribution = policy(*seen)
            action = distribution.sample()
        steps.append((seen, action, log_probability(distribution, action, seen[1])))
        observation, reward, terminated, truncated, _ = env.step(action.clamp(-1, 1).numpy())
        rewards.append(torch.from_numpy(reward * ~done))  # a run that ended early (it diverged) earns no more
        done |= terminated | truncated
    return steps, torch.stack(rewards), observation


def log_probability(distribution: torch.distributions.Normal, action: Tensor, mask: Tensor) -> Tensor:
    return (distribution.log_prob(action) * mask).sum(1)


def advantages(rewards: Tensor, group_size: int) -> Tensor:
    """Return to go of each run minus the mean of the rest of its group, (T, N), in units of their spread."""
    to_go = rewards.flip(0).cumsum(0).flip(0).view(len(rewards), -1, group_size)
    rest = (to_go.sum(2, keepdim=True) - to_go) / (group_size - 1)
    advantage = (to_go - rest).view(len(rewards), -1)
    return advantage / (advantage.std() + 1e-8)


def update(policy: Policy, optimizer: torch.optim.Optimizer, steps: list[Any], advantage: Tensor, config: Any) -> None:
    seen = [torch.cat(parts) for parts in zip(*(step[0] for step in steps), strict=True)]
    action, old = (torch.cat([step[index] for step in steps]) for index in (1, 2))
    weight = advantage.reshape(-1)
    for _ in range(config.epochs):
        ratio = (log_probability(policy(*seen), action, seen[1]) - old).exp()
        clipped = ratio.clamp(1 - config.clip, 1 + config.clip)
        loss = -torch.minimum(ratio * weight, clipped * weight).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def main(config: PlainConfig) -> dict[str, float]:
    """Learn, and print each round's mean return."""
    torch.manual_seed(config.seed)
    env: Any = gym.make_vec(
        config.env, num_envs=config.num_envs, corpus=config.corpus, group_size=config.group_size
    ).unwrapped
    observation, _ = env.reset(seed=config.seed)
    agents, _, training = tensors(observation)
    policy = Policy(agents.shape[2], training.shape[1])
    optimizer = torch.optim.Adam(policy.parameters(), config.learning_rate)
    returns = []
    for number in range(config.rounds):
        steps, rewards, observation = rollout(env, policy, observation)
        update(policy, optimizer, steps, advantages(rewards, config.group_size), config)
        returns.append(float(rewards.sum(0).mean()))
        print(f"round {number + 1}: return {returns[-1]:+.3f} nats")
    return {"first_return_nats": float(np.mean(returns[:3])), "last_return_nats": float(np.mean(returns[-3:]))}


if __name__ == "__main__":
    print(json.dumps(main(tyro.cli(PlainConfig, description=__doc__))))
