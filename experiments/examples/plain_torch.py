"""Learn a policy on the native vector environment with nothing but PyTorch: PPO in one file.

    python -m pretraingym.experiments.examples.plain_torch --rounds 30

The environment trains many models side by side. Before each interval of training the policy observes, for every run,
features of each agent and features of the training as a whole. Its action is one number in [-1, 1] for each agent,
which the environment turns into the weights of the console. The reward is how far the validation loss fell in the
interval, in nats, less how far it fell in a run on natural text.

Runs of one seed group share scenario, initial weights and random numbers. So the mean return of the other runs of its
group is a baseline for each run (leave-one-out), and no critic is needed. The policy applies one network to every
agent, and so serves any number of agents. Last line: one JSON object with the mean return of the first and of the last
three rounds, nats over natural.
"""

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
import tyro
from torch import Tensor, nn

import pretraingym.env  # noqa: F401 (registers the environments)


@dataclass(frozen=True)
class PlainConfig:
    """What is learned, and how."""

    env: str = "PretrainGym/Surrogate-v2"
    """id of the environment; PretrainGym/Console-v2 trains real proxies"""
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


class Observed(NamedTuple):
    """What the policy observes of N runs with K agents."""

    agents: Tensor  # (N, K, features of an agent)
    mask: Tensor  # (N, K): 1 where the run has the agent, else 0
    statistics: Tensor  # (N, features of the training)


class Step(NamedTuple):
    """One decision of N runs."""

    observed: Observed
    action: Tensor  # (N, K)
    log_probability: Tensor  # (N,): of the action under the policy that drew it


class Policy(nn.Module):
    """A normal distribution of actions (N, K): the mean comes from one network that reads each agent's own features,
    the mean over agents and the training's; the standard deviation is one learned number."""

    def __init__(self, num_agent_features: int, num_training_features: int, hidden: int = 32) -> None:
        super().__init__()
        num_inputs = 2 * num_agent_features + num_training_features
        self.network = nn.Sequential(nn.Linear(num_inputs, hidden), nn.Tanh(), nn.Linear(hidden, 1))
        self.log_std = nn.Parameter(torch.tensor(-1.0))
        nn.init.zeros_(self.network[-1].weight)  # type: ignore[arg-type]  # so that the first mean is 0 everywhere
        nn.init.zeros_(self.network[-1].bias)  # type: ignore[arg-type]

    def forward(self, observed: Observed) -> torch.distributions.Normal:
        agents, present = observed.agents, observed.mask[..., None]
        mean_agent = (agents * present).sum(1, keepdim=True) / present.sum(1, keepdim=True)
        shared = torch.cat([mean_agent, observed.statistics[:, None]], 2).expand(-1, agents.shape[1], -1)
        mean = torch.tanh(self.network(torch.cat([agents, shared], 2))[..., 0])
        return torch.distributions.Normal(mean, self.log_std.exp())


def observed_of(observation: dict[str, np.ndarray]) -> Observed:
    """The environment's observation as tensors; it has the features of all agents of a run in one row."""
    agents, mask, statistics = (torch.from_numpy(observation[key]) for key in ("agents", "mask", "statistics"))
    return Observed(agents.view(len(mask), mask.shape[1], -1), mask, statistics)


def log_probability(distribution: torch.distributions.Normal, action: Tensor, mask: Tensor) -> Tensor:
    """Log-probability of each run's action, (N,), over the agents that the run has."""
    return (distribution.log_prob(action) * mask).sum(1)


def rollout(env: Any, policy: Policy, observation: dict[str, np.ndarray]) -> tuple[list[Step], Tensor, dict[str, Any]]:
    """One episode of every run: its steps, the rewards (steps, N), and the first observation of the next episode, which
    the environment begins by itself."""
    steps, rewards = [], []
    done = np.zeros(env.num_envs, bool)
    while not done.all():
        observed = observed_of(observation)
        with torch.no_grad():
            distribution = policy(observed)
            action = distribution.sample()
        steps.append(Step(observed, action, log_probability(distribution, action, observed.mask)))
        observation, reward, terminated, truncated, _ = env.step(action.clamp(-1, 1).numpy())
        rewards.append(torch.from_numpy(reward * ~done))  # a run that ended early (it diverged) earns no more
        done |= terminated | truncated
    return steps, torch.stack(rewards), observation


def advantages(rewards: Tensor, group_size: int) -> Tensor:
    """From rewards (steps, N): each run's return from a step on, less the mean of the others of its group, over the
    standard deviation of all of them."""
    to_go = rewards.flip(0).cumsum(0).flip(0).view(len(rewards), -1, group_size)
    mean_of_others = (to_go.sum(2, keepdim=True) - to_go) / (group_size - 1)
    advantage = (to_go - mean_of_others).view(len(rewards), -1)
    return advantage / (advantage.std() + 1e-8)


def update(
    policy: Policy, optimizer: torch.optim.Optimizer, steps: list[Step], advantage: Tensor, config: PlainConfig
) -> None:
    """PPO's update with the clipped objective (Schulman et al. 2017, eq. 7), on all steps of all runs at once."""
    observed = Observed(*(torch.cat(parts) for parts in zip(*(step.observed for step in steps), strict=True)))
    action = torch.cat([step.action for step in steps])
    old = torch.cat([step.log_probability for step in steps])
    advantage = advantage.reshape(-1)
    for _ in range(config.epochs):
        ratio = (log_probability(policy(observed), action, observed.mask) - old).exp()
        clipped = ratio.clamp(1 - config.clip, 1 + config.clip)
        loss = -torch.minimum(ratio * advantage, clipped * advantage).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def main(config: PlainConfig) -> dict[str, float]:
    """Learn, and print each round's mean return."""
    torch.manual_seed(config.seed)
    env: Any = gym.make_vec(
        config.env,
        num_envs=config.num_envs,
        corpus=config.corpus,
        group_size=config.group_size,
        autoreset_mode="SameStep",  # the step that ends an episode begins the next
    ).unwrapped
    observation, _ = env.reset(seed=config.seed)
    first = observed_of(observation)
    policy = Policy(first.agents.shape[2], first.statistics.shape[1])
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
