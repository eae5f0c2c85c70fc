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
from ...env.observation.observation import Observation
from ..actors.actor import Actor, ObservationTensors
from ..actors.set_actor import Normaliser


class Decoder(BaseFeaturesExtractor):
    """A batch of the environments' space as the ObservationTensors of it: every network takes what it needs."""

    def __init__(self, observation_space: gym.spaces.Dict) -> None:
        super().__init__(observation_space, features_dim=1)

    def forward(self, batch: dict[str, Tensor]) -> ObservationTensors:
        return ObservationTensors.of(Observation.of_batch({name: value.numpy() for name, value in batch.items()}))


class ActorAndCritic(nn.Module):
    """What SB3 calls an mlp_extractor. The actor's output is the mean action itself, (N, K)."""

    def __init__(self, actor: Actor, hidden: int) -> None:
        super().__init__()
        self.actor = actor
        self.agent_scale, self.training_scale = Normaliser(list(AGENT_FEATURES)), Normaliser(list(TRAINING_FEATURES))
        self.critic = nn.Sequential(nn.Linear(len(AGENT_FEATURES) + len(TRAINING_FEATURES), hidden), nn.Tanh())
        self.latent_dim_pi, self.latent_dim_vf = 1, hidden

    def forward(self, seen: ObservationTensors) -> tuple[Tensor, Tensor]:
        return self.forward_actor(seen), self.forward_critic(seen)

    def forward_actor(self, seen: ObservationTensors) -> Tensor:
        action: Tensor = self.actor(*seen)
        return action

    def forward_critic(self, seen: ObservationTensors) -> Tensor:
        """Features of the training and of the mean present agent -> (N, hidden)."""
        present = seen.mask[..., None]
        agents = self.agent_scale(seen.agents).masked_fill(~present, 0.0).sum(1) / present.sum(1)
        latent: Tensor = self.critic(torch.cat([agents, self.training_scale(seen.statistics)], 1))
        return latent


class SetPolicy(ActorCriticPolicy):
    """Mean action from a copy of `actor`, one standard deviation shared by all agents, a pooled critic.

    PPO uses all of it; `EpisodeSearch` uses the actor alone. Learning starts from `actor`."""

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
            features_extractor_class=Decoder,
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
