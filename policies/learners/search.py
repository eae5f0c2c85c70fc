"""What the learners that try whole episodes share: a Stable-Baselines3 algorithm without gradient steps."""

import time
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.type_aliases import MaybeCallback
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor
from torch.nn.utils import vector_to_parameters

from ...env.observation.observation import Observation
from ..actors.actor import Actor, ObservationTensors
from ..sb3.set_policy import SetPolicy

Array = NDArray[np.float64]


class EpisodeSearch(BaseAlgorithm):
    """Rounds of one episode of every slot: `try_round` plays one and learns from its returns. `policy` holds the best
    actor known."""

    policy: SetPolicy

    def __init__(
        self, env: VecEnv, actor: Actor, seed: int = 0, tensorboard_log: str | None = None, verbose: int = 0
    ) -> None:
        super().__init__(
            SetPolicy,
            env,
            learning_rate=0.0,  # there is no gradient step
            policy_kwargs={"actor": actor},
            tensorboard_log=tensorboard_log,
            verbose=verbose,
            device="cpu",
            support_multi_env=True,
            seed=seed,
            supported_action_spaces=(gym.spaces.Box,),
        )
        self.group_size: int = env.get_attr("group_size")[0]
        self.horizon: int = env.get_attr("horizon")[0]
        self._setup_model()

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        assert isinstance(self.observation_space, gym.spaces.Dict)
        assert isinstance(self.action_space, gym.spaces.Box)
        self.policy = SetPolicy(self.observation_space, self.action_space, self.lr_schedule, **self.policy_kwargs)
        self.set_up_search(np.random.default_rng(self.seed))

    @abstractmethod
    def set_up_search(self, rng: np.random.Generator) -> None:
        """Begin the search at `policy.actor`."""

    @abstractmethod
    def try_round(self, callback: BaseCallback) -> Array | None:
        """Play one episode of every slot and learn from it: returns of what was tried; None if a callback stopped."""

    def learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 1,
        tb_log_name: str = "run",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> "EpisodeSearch":
        """Whole rounds until `total_timesteps` environment steps are reached."""
        total_timesteps, callback = self._setup_learn(
            total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar
        )
        callback.on_training_start(locals(), globals())
        while self.num_timesteps < total_timesteps:
            returns = self.try_round(callback)
            if returns is None:  # a callback said stop
                break
            self._n_updates += 1
            self._update_current_progress_remaining(self.num_timesteps, total_timesteps)
            callback.on_rollout_end()
            if self._n_updates % log_interval == 0:
                self._log(returns)
        callback.on_training_end()
        return self

    def seen(self) -> ObservationTensors:
        """The present observation of every slot, as actors take it."""
        assert isinstance(self._last_obs, dict)
        return ObservationTensors.of(Observation.of_batch(self._last_obs))

    def play(self, act: Callable[[ObservationTensors], Tensor], callback: BaseCallback) -> Array | None:
        """Return of one episode of every slot under `act` (observations -> actions), (N,); None if a callback stopped
        it."""
        assert isinstance(self.env, VecEnv)
        env = self.env
        returns, finished = np.zeros(env.num_envs), np.zeros(env.num_envs, bool)
        callback.on_rollout_start()
        for _ in range(self.horizon):
            actions = act(self.seen()).numpy()
            new_obs, rewards, dones, infos = env.step(actions)
            self._last_obs = new_obs  # type: ignore[assignment]
            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return None
            self._update_info_buffer(infos, dones)
            returns[~finished] += rewards[~finished]
            finished |= dones
        return returns

    def actions_of(self, candidates: list[Array], actor: Actor, seen: ObservationTensors) -> Tensor:
        """Each slot's action, (N, K), by parameters of `actor`: slot j takes candidate j % len(candidates)."""
        actions = torch.zeros(seen.mask.shape)
        with torch.no_grad():
            for index, candidate in enumerate(candidates):
                load(actor, candidate)
                own = slice(index, None, len(candidates))
                actions[own] = actor(*(part[own] for part in seen))
        return actions

    def values_to_log(self) -> dict[str, Any]:
        """Values to log of the search, beside the returns."""
        return {}

    def _log(self, returns: Array) -> None:
        elapsed_s = max((time.time_ns() - self.start_time) / 1e9, 1e-9)
        values: dict[str, Any] = {
            "rollout/return_mean": returns.mean(),
            "rollout/return_best": returns.max(),
            "train/rounds": self._n_updates,
            "time/fps": int((self.num_timesteps - self._num_timesteps_at_start) / elapsed_s),
            "time/total_timesteps": self.num_timesteps,
        } | self.values_to_log()
        for name, value in values.items():
            self.logger.record(name, value)
        self.logger.dump(step=self.num_timesteps)


def load(actor: Actor, vector: Array) -> None:
    """Give an actor all its parameters, in their order."""
    vector_to_parameters(torch.from_numpy(vector.astype(np.float32)), actor.parameters())
