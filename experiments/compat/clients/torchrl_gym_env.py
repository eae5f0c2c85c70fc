"""TorchRL: SAC on GymEnv, which makes the environment by its id."""

import numpy as np
import torch
from tensordict import TensorDict
from tensordict.nn import NormalParamExtractor, TensorDictModule
from torch import nn
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
from torchrl.envs import CatTensors, GymEnv, TransformedEnv
from torchrl.modules import ProbabilisticActor, TanhNormal, ValueOperator
from torchrl.objectives import SACLoss, SoftUpdate

from pretraingym.experiments.compat.scoring import ENV, report

STEPS, RANDOM_STEPS, STEPS_PER_BATCH, UPDATES_PER_BATCH, SAMPLED = 1080, 240, 12, 10, 128
KEYS = ["agents", "mask", "statistics"]

torch.manual_seed(0)
env = TransformedEnv(GymEnv(ENV), CatTensors(KEYS, "observation", del_keys=False))
env.set_seed(1)
num_actions = env.action_spec.shape[-1]


def network(outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.LazyLinear(128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, outputs))


class Critic(nn.Module):
    """The value of an action."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = network(1)

    def forward(self, observation: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        return self.layers(torch.cat([observation, action], -1))


actor = ProbabilisticActor(
    TensorDictModule(
        nn.Sequential(network(2 * num_actions), NormalParamExtractor()), ["observation"], ["loc", "scale"]
    ),
    spec=env.action_spec,
    in_keys=["loc", "scale"],
    distribution_class=TanhNormal,
)
critic = ValueOperator(Critic(), in_keys=["observation", "action"])
critic(actor(env.reset()))  # which makes the lazy layers
loss = SACLoss(actor, critic, alpha_init=0.05, target_entropy=-2.0 * num_actions)
loss.make_value_estimator(gamma=1.0)
target, optimizer = SoftUpdate(loss, tau=0.01), torch.optim.Adam(loss.parameters(), 1e-3)
replay = TensorDictReplayBuffer(storage=LazyTensorStorage(STEPS), batch_size=SAMPLED)

for batch in Collector(
    env, actor, frames_per_batch=STEPS_PER_BATCH, total_frames=STEPS, init_random_frames=RANDOM_STEPS
):
    replay.extend(batch)
    for _ in range(UPDATES_PER_BATCH if len(replay) >= RANDOM_STEPS else 0):
        losses = loss(replay.sample())
        sum(losses[name] for name in ("loss_actor", "loss_qvalue", "loss_alpha")).backward()
        optimizer.step()
        optimizer.zero_grad()
        target.step()


def act(observation: dict[str, np.ndarray]) -> torch.Tensor:
    """The mode of the policy's distribution."""
    seen = torch.cat([torch.as_tensor(observation[key]) for key in KEYS], 1)
    with torch.no_grad():
        return torch.tanh(actor(TensorDict({"observation": seen}, [len(seen)]))["loc"])


report("torchrl", act, flat=False)
