"""SetPolicy: an actor as a Stable-Baselines3 policy, by public hooks alone."""

import copy
from typing import Any

import gymnasium as gym
import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor, nn

from ...env.observation.features import AGENT_FEATURES, TRAINING_FEATURES
from ..actors.actor import Actor
from ..actors.set_actor import Normaliser

Parts = dict[str, Tensor]


class SplitRows(BaseFeaturesExtractor):
    """The observation as it is, with agents as (B, K, F) and a boolean mask: every network takes what it needs."""

    def __init__(self, observation_space: gym.spaces.Dict) -> None:
        super().__init__(observation_space, features_dim=1)

    def forward(self, observation: Parts) -> Parts:
        mask = observation["mask"] > 0.5
        agents = observation["agents"].reshape(*mask.shape, len(AGENT_FEATURES))
        return {"agents": agents, "mask": mask, "training": observation["training"]}


class ActorAndCritic(nn.Module):
    """What SB3 calls an mlp_extractor. The actor's output is the mean action itself, (B, K)."""

    def __init__(self, actor: Actor, hidden: int) -> None:
        super().__init__()
        self.actor = actor
        self.agent_scale, self.training_scale = Normaliser(list(AGENT_FEATURES)), Normaliser(list(TRAINING_FEATURES))
        self.critic = nn.Sequential(nn.Linear(len(AGENT_FEATURES) + len(TRAINING_FEATURES), hidden), nn.Tanh())
        self.latent_dim_pi, self.latent_dim_vf = 1, hidden

    def forward(self, parts: Parts) -> tuple[Tensor, Tensor]:
        return self.forward_actor(parts), self.forward_critic(parts)

    def forward_actor(self, parts: Parts) -> Tensor:
        action: Tensor = self.actor(parts["agents"], parts["mask"], parts["training"])
        return action

    def forward_critic(self, parts: Parts) -> Tensor:
        """Features of the training and of the mean present agent -> (B, hidden)."""
        present = parts["mask"][..., None]
        rows = self.agent_scale(parts["agents"]).masked_fill(~present, 0.0).sum(1) / present.sum(1)
        latent: Tensor = self.critic(torch.cat([rows, self.training_scale(parts["training"])], 1))
        return latent


class SetPolicy(ActorCriticPolicy):
    """Mean action from a copy of `actor`, one standard deviation shared by all agents, a pooled critic.

    It serves PPO and, with the actor alone, CMA-ES. `actor` comes as its learning is to start, as a rule a clone of the
    agreement rule."""

    mlp_extractor: ActorAndCritic  # type: ignore[assignment]

    def __init__(
        self,
        observation_space: gym.spaces.Dict,
        action_space: gym.spaces.Box,
        lr_schedule: Schedule,
        actor: Actor,
        critic_hidden: int = 32,
        **kwargs: Any,
    ) -> None:
        self._make_networks = lambda: ActorAndCritic(copy.deepcopy(actor), critic_hidden)
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            ortho_init=False,  # it would overwrite the actor
            features_extractor_class=SplitRows,
            **kwargs,
        )

    @property
    def actor(self) -> Actor:
        return self.mlp_extractor.actor

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = self._make_networks()

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        self.action_net = nn.Identity()
        self.log_std = nn.Parameter(torch.full((1,), float(self.log_std_init)))
        settings = {**self.optimizer_kwargs, "lr": lr_schedule(1)}
        self.optimizer = self.optimizer_class(self.parameters(), **settings)
