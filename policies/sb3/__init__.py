"""The environment for Stable-Baselines3, and what its algorithms need to learn on it."""

from .vec_env import SB3ConsoleVecEnv

__all__ = ["SB3ConsoleVecEnv"]
