"""Data selection as an environment: knows nothing of who chooses the weights."""

import gymnasium as gym

gym.register(
    id="PretrainGym/Console-v0",
    entry_point="pretraingym.env.console_env:ConsoleEnv",
    vector_entry_point="pretraingym.env.vector_env:ConsoleVectorEnv",
)
