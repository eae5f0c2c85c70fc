"""PufferLib: its emulation, vectorization, default policy and advantage kernel, with a short PPO around them."""

import gymnasium as gym
import numpy as np
import pufferlib.cleanrl
import pufferlib.emulation
import pufferlib.models
import pufferlib.vector
import torch
from c_gae import compute_gae
from gymnasium.wrappers import FlattenObservation

from pretraingym.experiments.compat.scoring import ENV, report

ENVS, STEPS, UPDATES, EPOCHS, MINIBATCH = 8, 28, 6, 8, 96


def make() -> pufferlib.emulation.GymnasiumPufferEnv:
    return pufferlib.emulation.GymnasiumPufferEnv(env_creator=lambda: FlattenObservation(gym.make(ENV)))


torch.manual_seed(0)
envs = pufferlib.vector.make(make, num_envs=ENVS, backend=pufferlib.vector.Serial)
policy = pufferlib.cleanrl.Policy(pufferlib.models.Default(envs.driver_env))
torch.nn.init.constant_(policy.policy.decoder_logstd, -1.0)
optimizer = torch.optim.Adam(policy.parameters(), 1e-3)
observation, _ = envs.reset(seed=1)
for _ in range(UPDATES):
    rows = []
    for _ in range(STEPS):
        seen = torch.as_tensor(observation.copy())
        with torch.no_grad():
            action, logprob, _, value = policy(seen)
        observation, reward, terminals, truncations, _ = envs.step(action.clamp(-1, 1).numpy())
        done = torch.as_tensor(terminals | truncations).float()
        rows.append((seen, action, logprob, value[:, 0], torch.as_tensor(reward.copy()), done))
    seen, action, logprob, value, reward, done = (torch.stack(column, 1) for column in zip(*rows, strict=True))
    # Environment by environment in one row; the kernel wants rewards beside the observations that come with them.
    done, reward = (torch.roll(column, 1, 1) for column in (done, reward))
    done[:, 0], reward[:, 0] = 1, 0  # rows do not flow into each other
    gains = compute_gae(done.flatten().numpy(), value.flatten().numpy(), reward.flatten().numpy(), 1.0, 0.95)
    advantage, value = torch.as_tensor(np.asarray(gains)), value.flatten()
    returns = advantage + value
    seen, action, logprob = seen.flatten(0, 1), action.flatten(0, 1), logprob.flatten()
    for _ in range(EPOCHS):
        for index in torch.randperm(len(seen)).split(MINIBATCH):
            _, new_logprob, _, new_value = policy(seen[index], action[index])
            ratio = (new_logprob - logprob[index]).exp()
            normal = (advantage[index] - advantage[index].mean()) / (advantage[index].std() + 1e-8)
            surrogate = torch.minimum(ratio * normal, ratio.clamp(0.8, 1.2) * normal).mean()
            loss = 0.5 * ((new_value[:, 0] - returns[index]) ** 2).mean() - surrogate
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(policy.parameters(), 0.5)
            optimizer.step()


def act(observation: np.ndarray) -> np.ndarray:
    """The mean of the policy's distribution."""
    with torch.no_grad():
        return policy.policy(torch.as_tensor(observation))[0].mean.clamp(-1, 1).numpy()


report("pufferlib", act)
