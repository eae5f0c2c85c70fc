"""Data selection as an environment: knows nothing of who chooses the weights."""

from typing import TYPE_CHECKING, Any

import gymnasium as gym

if TYPE_CHECKING:
    from .checking.check import check_agent

__all__ = ["check_agent"]

gym.register(
    id="PretrainGym/Console-v0",
    entry_point="pretraingym.env.console_env:ConsoleEnv",
    vector_entry_point="pretraingym.env.vector_env:ConsoleVectorEnv",
)
gym.register(
    id="PretrainGym/Surrogate-v0",
    entry_point="pretraingym.env.surrogate:surrogate_env",
    vector_entry_point="pretraingym.env.surrogate:surrogate_vector_env",
)


def __getattr__(name: str) -> Any:
    if name == "check_agent":  # on demand, so that importing this package stays cheap
        from .checking.check import check_agent

        return check_agent
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
