"""Tianshou: PPO by its procedural interface, on environments that gym.make makes."""

import gymnasium as gym
import numpy as np
import torch
from tianshou.algorithm import PPO
from tianshou.algorithm.modelfree.reinforce import ProbabilisticActorPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Batch, Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.trainer import OnPolicyTrainerParams
from tianshou.utils.net.common import Net
from tianshou.utils.net.continuous import ContinuousActorProbabilistic, ContinuousCritic
from torch.distributions import Independent, Normal

from pretraingym.experiments.compat.scoring import ENV, report

ENVS, STEPS, STEPS_PER_UPDATE = 8, 1536, 192


def make() -> gym.Env:
    """Tianshou's networks read flat observations."""
    return gym.wrappers.FlattenObservation(gym.make(ENV))


torch.manual_seed(0)
env, training_envs = make(), DummyVectorEnv([make] * ENVS)
training_envs.seed(1)


def network() -> Net:
    return Net(state_shape=env.observation_space.shape, hidden_sizes=(64, 64), activation=torch.nn.Tanh)


actor = ContinuousActorProbabilistic(preprocess_net=network(), action_shape=env.action_space.shape, unbounded=True)
torch.nn.init.constant_(actor.sigma_param, -1.0)
torch.nn.init.orthogonal_(actor.mu.model[0].weight, 0.01)
policy = ProbabilisticActorPolicy(
    actor=actor,
    dist_fn=lambda mean_and_std: Independent(Normal(*mean_and_std), 1),
    deterministic_eval=True,
    action_space=env.action_space,
)
algorithm = PPO(
    policy=policy,
    critic=ContinuousCritic(preprocess_net=network()),
    optim=AdamOptimizerFactory(lr=1e-3),
    gamma=1.0,
    ent_coef=0.0,
)
algorithm.run_training(
    OnPolicyTrainerParams(
        training_collector=Collector(algorithm, training_envs, VectorReplayBuffer(STEPS_PER_UPDATE, ENVS)),
        max_epochs=1,
        epoch_num_steps=STEPS,
        collection_step_num_env_steps=STEPS_PER_UPDATE,
        update_step_num_repetitions=8,
        batch_size=96,
        show_progress=False,
    )
)


def act(observation: np.ndarray) -> np.ndarray:
    """The deterministic action, mapped as Tianshou's collectors map it."""
    with torch.no_grad():
        return policy.map_action(policy(Batch(obs=observation, info={})).act)


report("tianshou", act)
