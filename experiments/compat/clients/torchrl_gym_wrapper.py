"""TorchRL: PPO on GymWrapper of the native vector environment, as in TorchRL's tutorial."""

import gymnasium as gym
import torch
from tensordict import TensorDict
from tensordict.nn import NormalParamExtractor, TensorDictModule
from torch import nn
from torchrl.collectors import Collector
from torchrl.envs import CatTensors, GymWrapper, TransformedEnv
from torchrl.modules import IndependentNormal, ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

from pretraingym.experiments.compat.scoring import ENV, report

ENVS, STEPS, UPDATES, EPOCHS, MINIBATCH = 32, 24, 14, 8, 192
KEYS = ["agents", "mask", "statistics"]

torch.manual_seed(0)
vector_env = gym.make_vec(ENV, num_envs=ENVS, autoreset_mode=gym.vector.AutoresetMode.DISABLED)
env = TransformedEnv(GymWrapper(vector_env), CatTensors(KEYS, "observation", del_keys=False))
env.set_seed(1)
num_actions = env.action_spec.shape[-1]


def network(outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.LazyLinear(64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, outputs))


mean_and_scale = nn.Sequential(network(2 * num_actions), NormalParamExtractor("biased_softplus_0.3"))
actor = ProbabilisticActor(
    TensorDictModule(mean_and_scale, ["observation"], ["loc", "scale"]),
    spec=env.action_spec_unbatched,
    in_keys=["loc", "scale"],
    distribution_class=IndependentNormal,
    return_log_prob=True,
)
critic = ValueOperator(network(1), in_keys=["observation"])
actor(env.reset()), critic(env.reset())  # which makes the lazy layers
advantage = GAE(gamma=1.0, lmbda=0.95, value_network=critic, average_gae=True)
loss = ClipPPOLoss(actor, critic, entropy_coeff=0.0)
optimizer = torch.optim.Adam(loss.parameters(), 1e-3)

for batch in Collector(env, actor, frames_per_batch=ENVS * STEPS, total_frames=ENVS * STEPS * UPDATES):
    for _ in range(EPOCHS):
        advantage(batch)
        flat = batch.reshape(-1)
        for index in torch.randperm(len(flat)).split(MINIBATCH):
            losses = loss(flat[index])
            sum(losses[name] for name in ("loss_objective", "loss_critic")).backward()
            nn.utils.clip_grad_norm_(loss.parameters(), 0.5)
            optimizer.step()
            optimizer.zero_grad()


def act(observation: dict[str, torch.Tensor]) -> torch.Tensor:
    """The mean of the policy's distribution."""
    seen = torch.cat([torch.as_tensor(observation[key]) for key in KEYS], 1)
    with torch.no_grad():
        return actor(TensorDict({"observation": seen}, [len(seen)]))["loc"].clamp(-1, 1)


report("torchrl", act, flat=False)
