"""RLlib: PPO on its new API stack, in one process."""

import gymnasium as gym
import numpy as np
import ray
import torch
from gymnasium.wrappers import FlattenObservation
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.tune.registry import register_env

from pretraingym.experiments.compat.scoring import ENV, report

ITERATIONS = 6

ray.init(num_cpus=1, include_dashboard=False)
register_env("surrogate", lambda config: FlattenObservation(gym.make(ENV)))
config = (
    PPOConfig()
    .environment("surrogate")
    .env_runners(num_env_runners=0, num_envs_per_env_runner=8)
    .training(gamma=1.0, lr=1e-3, train_batch_size=192, minibatch_size=96, num_epochs=8)
    .rl_module(model_config=DefaultModelConfig(fcnet_hiddens=[64, 64]))
    .debugging(seed=0)
)
algorithm = config.build_algo()
for _ in range(ITERATIONS):
    algorithm.train()
module = algorithm.get_module()


def act(observation: np.ndarray) -> np.ndarray:
    """The mean of the policy's distribution."""
    with torch.no_grad():
        inputs = module.forward_inference({"obs": torch.as_tensor(observation)})["action_dist_inputs"]
    return inputs.chunk(2, 1)[0].clamp(-1, 1).numpy()


report("ray", act)
algorithm.stop()
