"""The environment for Stable-Baselines3, and what its algorithms need to learn on it."""
