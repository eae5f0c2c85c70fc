"""skrl: PPO by its Runner on the native vector environment, with the observation as it is."""

import gymnasium as gym
import torch
from skrl.envs.wrappers.torch import wrap_env
from skrl.utils.runner.torch import Runner

from pretraingym.experiments.compat.scoring import ENV, report

ENVS, ROLLOUT, UPDATES = 32, 28, 14
OBSERVATIONS = 'concatenate([OBSERVATIONS["agents"], OBSERVATIONS["mask"], OBSERVATIONS["statistics"]])'
NETWORK = [{"name": "net", "input": OBSERVATIONS, "layers": [64, 64], "activations": "tanh"}]

env = wrap_env(gym.make_vec(ENV, num_envs=ENVS))
runner = Runner(
    env,
    {
        "seed": 0,
        "models": {
            "separate": True,
            "policy": {"class": "GaussianMixin", "initial_log_std": -1.0, "network": NETWORK, "output": "ACTIONS"},
            "value": {"class": "DeterministicMixin", "network": NETWORK, "output": "ONE"},
        },
        "memory": {"class": "RandomMemory", "memory_size": -1},
        "agent": {
            "class": "PPO",
            "rollouts": ROLLOUT,
            "learning_epochs": 8,
            "mini_batches": 4,
            "discount_factor": 1.0,
            "learning_rate": 1e-3,
            "experiment": {"write_interval": 0, "checkpoint_interval": 0},
        },
        "trainer": {"class": "SequentialTrainer", "timesteps": ROLLOUT * UPDATES, "headless": True},
    },
)
runner.run("train")


def act(observation: torch.Tensor) -> torch.Tensor:
    """The mean of the policy's distribution."""
    runner.agent.enable_training_mode(False)
    with torch.no_grad():
        _, outputs = runner.agent.act(torch.as_tensor(observation), None, timestep=0, timesteps=0)
    return outputs["mean_actions"]


report("skrl", act)
