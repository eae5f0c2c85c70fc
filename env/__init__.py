"""Data selection as an environment: knows nothing of who chooses the weights."""

from typing import TYPE_CHECKING, Any

import gymnasium as gym

if TYPE_CHECKING:
    from .checks.agent_check import check_agent
    from .checks.vector_check import check_vector_env

__all__ = ["check_agent", "check_vector_env"]

gym.register(
    id="PretrainGym/Console-v2",
    entry_point="pretraingym.env.gym_envs.single_env:ConsoleEnv",
    vector_entry_point="pretraingym.env.gym_envs.vector_env:ConsoleVectorEnv",
)
gym.register(
    id="PretrainGym/Surrogate-v2",
    entry_point="pretraingym.env.gym_envs.surrogate_envs:SurrogateEnv",
    vector_entry_point="pretraingym.env.gym_envs.surrogate_envs:SurrogateVectorEnv",
)


def __getattr__(name: str) -> Any:
    if name == "check_agent":  # on demand, so that importing this package stays cheap
        from .checks.agent_check import check_agent

        return check_agent
    if name == "check_vector_env":
        from .checks.vector_check import check_vector_env

        return check_vector_env
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
