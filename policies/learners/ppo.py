r"""PPO (Schulman et al. 2017, arXiv 1707.06347, by Stable-Baselines3) on the set policy.

Adapted to few, short and noisy episodes: one rollout is one episode of all slots, in one minibatch; with seed groups
the baseline is the other runs of the group (group_buffer.py), else the critic.

Settings: chosen for such episodes, not tuned (assumed).

Evidence: 24 sealed scenarios of the default corpus, 96 episodes: gain over natural .244 and .253 nats (seeds 0 and 1);
the lift rule that it starts from .260, CMA-ES .256 to .262 (experiments/results/learners.md, commit ebd756e, whose
initial weights were not functions of the seed, so that these two runs cannot be repeated):

    pretraingym train-console --learn.algorithm ppo --learn.groups 2 --learn.group-size 8 --learn.seed 0
"""

from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv

from ..actors.actor import Actor
from ..sb3.group_buffer import GroupRolloutBuffer
from ..sb3.set_policy import SetPolicy


def make_ppo(
    env: VecEnv,
    actor: Actor,
    learning_rate: float = 0.05,
    log_std_init: float = -1.0,
    n_epochs: int = 8,
    seed: int = 0,
    tensorboard_log: str | None = None,
    verbose: int = 0,
) -> PPO:
    """PPO that starts from a copy of `actor`. One rollout = one episode of all slots, one minibatch.

    Returns are undiscounted sums, as an episode's are. With seed groups (`group_size` above 1) the baseline is the
    rest of the group, else the critic with generalised advantages (lambda .95)."""
    group_size = env.get_attr("group_size")[0]
    horizon = env.get_attr("horizon")[0]
    return PPO(
        SetPolicy,
        env,
        learning_rate=learning_rate,
        n_steps=horizon,
        batch_size=horizon * env.num_envs,
        n_epochs=n_epochs,
        gamma=1.0,
        gae_lambda=0.95,
        policy_kwargs={"actor": actor, "log_std_init": log_std_init},
        seed=seed,
        device="cpu",
        tensorboard_log=tensorboard_log,
        verbose=verbose,
        rollout_buffer_class=GroupRolloutBuffer if group_size > 1 else None,
        rollout_buffer_kwargs={"group_size": group_size} if group_size > 1 else None,
    )
