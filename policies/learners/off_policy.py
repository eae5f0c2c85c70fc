r"""SAC (Haarnoja et al. 2018, arXiv 1801.01290) and TQC (Kuznetsov et al. 2020, arXiv 2005.04269) on the set policy.

Stable-Baselines3's and its contrib's, adapted by public hooks alone: the mean action is the console's actor, one
deviation serves all agents, and critics treat agents alike in any number and order.

Settings: assumed, all of them.

Evidence: none on proxies. On the surrogate either reaches at least .8 of what the best constant gains, with 2,560
episodes (tests/policies/learners/test_surrogate_learning.py). To learn with them:

    pretraingym train-console --learn.algorithm sac
    pretraingym train-console --learn.algorithm tqc
"""

import copy
from functools import partial
from typing import Any

import gymnasium as gym
import torch
from sb3_contrib import TQC
from sb3_contrib.tqc import policies as tqc
from stable_baselines3 import SAC
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.sac import policies as sac
from torch import Tensor, nn

from ...env.observation.features import AGENT_FEATURES, TRAINING_FEATURES
from ..actors.actor import Actor, ObservationTensors
from ..actors.set_actor import Normaliser
from ..sb3.set_policy import Decoder

LOG_STD_INIT = -1.0
EDGE = 0.99  # largest mean action: SB3 squashes by tanh, which reaches 1 nowhere


class _ConsoleActor:
    """What SAC's and TQC's actors share here: the mean action of an `Actor`, one deviation for all agents."""

    latent_pi: Any
    mu: Any
    log_std: Any

    def put(self, actor: Actor) -> None:
        self.console = actor
        self.latent_pi, self.mu = nn.Identity(), nn.Identity()
        self.log_std = nn.Parameter(torch.full((1,), LOG_STD_INIT))

    def get_action_dist_params(self, obs: Any) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        action = self.console(*self.extract_features(obs, self.features_extractor))  # type: ignore[attr-defined]
        mean = torch.atanh(action.clamp(-EDGE, EDGE))
        return mean, self.log_std.clamp(-5, 1).expand_as(mean), {}


class SACActor(_ConsoleActor, sac.Actor): ...


class TQCActor(_ConsoleActor, tqc.Actor): ...


class AgentValues(nn.Module):
    """Value of an observation and an action, (N, outputs): each present agent through one network, then their mean."""

    def __init__(self, outputs: int, hidden: int) -> None:
        super().__init__()
        self.agent_scale, self.training_scale = Normaliser(list(AGENT_FEATURES)), Normaliser(list(TRAINING_FEATURES))
        inputs = len(AGENT_FEATURES) + len(TRAINING_FEATURES) + 1
        self.row = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        self.head = nn.Linear(hidden, outputs)

    def forward(self, seen: ObservationTensors, action: Tensor) -> Tensor:
        agents, present = self.agent_scale(seen.agents), seen.mask[..., None]
        around = self.training_scale(seen.statistics)[:, None].expand(-1, agents.shape[1], -1)
        latent = self.row(torch.cat([agents, around, action[..., None]], 2)).masked_fill(~present, 0.0)
        value: Tensor = self.head(latent.sum(1) / present.sum(1))
        return value


class _AgentCritic:
    """What SAC's and TQC's critics share here: AgentValues for networks."""

    def put(self, outputs: int, hidden: int) -> None:
        self.q_networks: Any = [AgentValues(outputs, hidden) for _ in range(self.n_critics)]  # type: ignore[attr-defined]
        for index, network in enumerate(self.q_networks):
            self.add_module(f"qf{index}", network)  # type: ignore[attr-defined]

    def values(self, obs: Any, action: Tensor) -> list[Tensor]:
        seen = self.extract_features(obs, self.features_extractor)  # type: ignore[attr-defined]
        return [network(seen, action) for network in self.q_networks]


class SACCritic(_AgentCritic, ContinuousCritic):
    outputs = 1

    def forward(self, obs: Any, actions: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.values(obs, actions))


class TQCCritic(_AgentCritic, tqc.Critic):
    @property
    def outputs(self) -> int:
        return int(self.n_quantiles)

    def forward(self, obs: Any, action: Tensor) -> Tensor:
        return torch.stack(self.values(obs, action), 1)


class _SetOffPolicy:
    """A policy whose actor is a copy of `actor` and whose critics treat agents alike, in any number and order."""

    actor_kind: type[Any]
    critic_kind: type[Any]

    def __init__(
        self,
        observation_space: gym.spaces.Dict,
        action_space: gym.spaces.Box,
        lr_schedule: Schedule,
        actor: Actor,
        critic_hidden: int = 32,
        **kwargs: Any,
    ) -> None:
        self._new_actor = lambda: copy.deepcopy(actor)
        self._hidden = critic_hidden
        super().__init__(
            observation_space, action_space, lr_schedule, net_arch=[], features_extractor_class=Decoder, **kwargs
        )  # type: ignore[call-arg]

    def make_actor(self, features_extractor: BaseFeaturesExtractor | None = None) -> Any:
        made = self.actor_kind(**self._update_features_extractor(self.actor_kwargs, features_extractor))  # type: ignore[attr-defined]
        made.put(self._new_actor())
        return made

    def make_critic(self, features_extractor: BaseFeaturesExtractor | None = None) -> Any:
        made = self.critic_kind(**self._update_features_extractor(self.critic_kwargs, features_extractor))  # type: ignore[attr-defined]
        made.put(made.outputs, self._hidden)
        return made


class SetSACPolicy(_SetOffPolicy, sac.SACPolicy):
    actor_kind, critic_kind = SACActor, SACCritic


class SetTQCPolicy(_SetOffPolicy, tqc.TQCPolicy):
    actor_kind, critic_kind = TQCActor, TQCCritic


def make_off_policy(
    kind: Any,
    policy: type[Any],
    env: VecEnv,
    actor: Actor,
    learning_rate: float = 3e-3,
    gradient_steps: int = 64,
    seed: int = 0,
    verbose: int = 0,
) -> SAC | TQC:
    """The algorithm `kind`, SAC or TQC, with that policy of it, which starts from a copy of `actor`: after every
    episode of all slots, `gradient_steps` of learning from all that was seen. Returns are undiscounted sums, as an
    episode's are."""
    made: SAC | TQC = kind(
        policy,
        env,
        learning_rate=learning_rate,
        buffer_size=100_000,
        learning_starts=0,
        batch_size=256,
        gamma=1.0,
        tau=0.02,
        train_freq=(env.get_attr("horizon")[0], "step"),
        gradient_steps=gradient_steps,
        ent_coef="auto_0.01",
        policy_kwargs={"actor": actor},
        seed=seed,
        device="cpu",
        verbose=verbose,
    )
    return made


make_sac = partial(make_off_policy, SAC, SetSACPolicy)
make_tqc = partial(make_off_policy, TQC, SetTQCPolicy)
