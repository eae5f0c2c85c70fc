"""RL Baselines3 Zoo: PPO by its own command line, with hyper-parameters from a YAML file as its users write them."""

import subprocess
import sys
import tempfile
from pathlib import Path

from stable_baselines3 import PPO

from pretraingym.experiments.compat.scoring import ENV, report

HYPERPARAMETERS = f"""
{ENV}:
  env_wrapper: gymnasium.wrappers.FlattenObservation
  n_envs: 4
  n_timesteps: !!float 1.5e3
  policy: MlpPolicy
  n_steps: 48
  batch_size: 96
  n_epochs: 8
  gamma: 1.0
  learning_rate: !!float 1e-3
  policy_kwargs: dict(log_std_init=-1)
"""

with tempfile.TemporaryDirectory() as folder:
    hyperparameters = Path(folder, "ppo.yml")
    hyperparameters.write_text(HYPERPARAMETERS)
    command = ["--algo", "ppo", "--env", ENV, "--gym-packages", "pretraingym.env", "--seed", "0", "--eval-freq", "-1"]
    places = ["--conf-file", str(hyperparameters), "--log-folder", folder]
    subprocess.run([sys.executable, "-m", "rl_zoo3.train", *command, *places], check=True, stdout=sys.stderr)
    (saved,) = Path(folder).rglob(f"{ENV.replace('/', '-')}.zip")
    model = PPO.load(saved, device="cpu")

report("rl_zoo3", lambda observation: model.predict(observation, deterministic=True)[0])
