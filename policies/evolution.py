"""CMA-ES as a Stable-Baselines3 algorithm: evolution of a set actor's few parameters on whole episodes."""

import copy
import time
from typing import Any

import cma
import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.type_aliases import MaybeCallback
from stable_baselines3.common.utils import obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from ..lm.errors import InputError
from .set_actor import SetActor
from .set_policy import SetPolicy


class CMAES(BaseAlgorithm):
    """Candidates = the environment's `group_size`: slot j tries candidate j % group_size for one episode, so that all
    candidates of a generation meet the same scenarios and random numbers. A candidate's return is the mean over groups
    of its summed reward. `policy` always holds the mean of the search distribution.

    sigma0: first standard deviation of every parameter, in units in which the features are normalised. The covariance
    is kept diagonal, as a full one cannot be learned in some tens of noisy generations, and candidates come in mirrored
    pairs: without them some searches ran away on a noisy toy."""

    policy: SetPolicy

    def __init__(
        self,
        env: VecEnv,
        actor: SetActor,
        sigma0: float = 0.25,
        seed: int = 0,
        tensorboard_log: str | None = None,
        verbose: int = 0,
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
        self.sigma0 = sigma0
        self.popsize: int = env.get_attr("group_size")[0]
        if self.popsize < 4:
            raise InputError(f"group_size is {self.popsize}, expected at least 4, the candidates that CMA-ES compares")
        self._setup_model()

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        assert isinstance(self.observation_space, gym.spaces.Dict)
        assert isinstance(self.action_space, gym.spaces.Box)
        self.policy = SetPolicy(self.observation_space, self.action_space, self.lr_schedule, **self.policy_kwargs)
        self._candidate = copy.deepcopy(self.policy.actor)
        start = parameters_to_vector(self.policy.actor.parameters()).detach().numpy().astype(np.float64)
        rng = np.random.default_rng(self.seed)
        options = {
            "popsize": self.popsize,
            "CMA_diagonal": True,
            "CMA_mirrors": self.popsize // 2,
            "randn": lambda *shape: rng.standard_normal(shape),
            "seed": np.nan,  # pycma's word for: leave numpy's global generator alone
            "verbose": -9,
        }
        self.search = cma.CMAEvolutionStrategy(start, self.sigma0, options)

    def learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 1,
        tb_log_name: str = "CMAES",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> "CMAES":
        """Whole generations until `total_timesteps` environment steps are reached."""
        total_timesteps, callback = self._setup_learn(
            total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar
        )
        callback.on_training_start(locals(), globals())
        while self.num_timesteps < total_timesteps:
            candidates = self.search.ask()
            returns = self.evaluate(candidates, callback)
            if returns is None:  # a callback said stop
                break
            self.search.tell(candidates, list(-returns))
            _load(self.policy.actor, self.search.result.xfavorite)
            self._n_updates += 1
            self._update_current_progress_remaining(self.num_timesteps, total_timesteps)
            callback.on_rollout_end()
            if self._n_updates % log_interval == 0:
                self._log(returns)
        callback.on_training_end()
        return self

    def evaluate(self, candidates: list[NDArray[np.float64]], callback: BaseCallback) -> NDArray[np.float64] | None:
        """Mean return of each candidate over one episode of all groups, (P,); None if a callback stopped it."""
        assert isinstance(self.env, VecEnv)
        env = self.env
        returns = np.zeros(env.num_envs)
        finished = np.zeros(env.num_envs, bool)
        callback.on_rollout_start()
        while not finished.all():
            actions = self._actions(candidates)
            new_obs, rewards, dones, infos = env.step(actions)
            self._last_obs = new_obs  # type: ignore[assignment]
            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return None
            self._update_info_buffer(infos, dones)
            returns[~finished] += rewards[~finished]
            finished |= dones
        return returns.reshape(-1, self.popsize).mean(0)

    def _actions(self, candidates: list[NDArray[np.float64]]) -> NDArray[np.float32]:
        """Each slot's action by its candidate, (N, K)."""
        assert isinstance(self._last_obs, dict)
        parts = self.policy.features_extractor(obs_as_tensor(self._last_obs, self.device))
        actions = torch.zeros(parts["mask"].shape)
        with torch.no_grad():
            for index, candidate in enumerate(candidates):
                _load(self._candidate, candidate)
                own = slice(index, None, self.popsize)
                actions[own] = self._candidate(*(parts[name][own] for name in ("agents", "mask", "training")))
        return actions.numpy()

    def _log(self, returns: NDArray[np.float64]) -> None:
        elapsed_s = max((time.time_ns() - self.start_time) / 1e9, 1e-9)
        values: dict[str, Any] = {
            "rollout/return_mean": returns.mean(),
            "rollout/return_best": returns.max(),
            "train/sigma": self.search.sigma,
            "train/generations": self._n_updates,
            "time/fps": int((self.num_timesteps - self._num_timesteps_at_start) / elapsed_s),
            "time/total_timesteps": self.num_timesteps,
        }
        for name, value in values.items():
            self.logger.record(name, value)
        self.logger.dump(step=self.num_timesteps)


def _load(actor: SetActor, vector: NDArray[np.float64]) -> None:
    vector_to_parameters(torch.from_numpy(vector.astype(np.float32)), actor.parameters())
