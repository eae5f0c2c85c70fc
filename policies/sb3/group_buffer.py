"""A rollout buffer that compares runs with the others of their seed group."""

import numpy as np
import torch
from stable_baselines3.common.buffers import DictRolloutBuffer


class GroupRolloutBuffer(DictRolloutBuffer):
    """Advantage = return to go, minus the mean of that of the other runs of the group at the same step.

    The others met the same scenario and random numbers but drew their own exploration, so the baseline is unbiased (an
    input-dependent baseline, arXiv 1807.02264, in leave-one-out form). The rollout must hold whole episodes that end
    together; gamma is 1."""

    def __init__(self, *args: object, group_size: int, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.group_size = group_size

    def compute_returns_and_advantage(self, last_values: torch.Tensor, dones: np.ndarray) -> None:
        assert dones.all(), "the rollout ends inside an episode: give n_steps as a multiple of the horizon"
        to_go = np.zeros(self.n_envs, np.float32)
        ends = dones.astype(bool)
        for step in reversed(range(self.buffer_size)):
            to_go = self.rewards[step] + np.where(ends, 0, to_go)
            self.returns[step] = to_go
            ends = self.episode_starts[step] > 0
        grouped = self.returns.reshape(self.buffer_size, -1, self.group_size)
        baseline = (grouped.sum(2, keepdims=True) - grouped) / (self.group_size - 1)
        self.advantages = (grouped - baseline).reshape(self.returns.shape)
