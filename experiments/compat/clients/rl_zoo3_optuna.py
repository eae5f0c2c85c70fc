"""RL Baselines3 Zoo: its Optuna tuning of SAC; the best trial's best model is scored."""

import subprocess
import sys
import tempfile
from pathlib import Path

import optuna
from stable_baselines3 import SAC

from pretraingym.experiments.compat.scoring import ENV, report

HYPERPARAMETERS = f"""
{ENV}:
  env_wrapper: gymnasium.wrappers.FlattenObservation
  n_timesteps: !!float 250
  policy: MlpPolicy
  learning_starts: 60
"""

with tempfile.TemporaryDirectory() as folder:
    hyperparameters, storage = Path(folder, "sac.yml"), f"sqlite:///{folder}/study.db"
    hyperparameters.write_text(HYPERPARAMETERS)
    command = ["--algo", "sac", "--env", ENV, "--gym-packages", "pretraingym.env", "--seed", "0"]
    places = ["--conf-file", str(hyperparameters), "--log-folder", folder, "--optimization-log-path", folder]
    study = ["-optimize", "--storage", storage, "--study-name", "compat", "--no-optim-plots"]
    tuning = ["--n-trials", "3", "--n-startup-trials", "2", "--n-evaluations", "1", "--eval-episodes", "8"]
    commands = [sys.executable, "-m", "rl_zoo3.train", *command, *places, *study, *tuning]
    subprocess.run(commands, check=True, stdout=sys.stderr)
    best = optuna.load_study(study_name="compat", storage=storage).best_trial
    model = SAC.load(Path(folder, f"trial_{best.number}", "best_model.zip"), device="cpu")

report("rl_zoo3", lambda observation: model.predict(observation, deterministic=True)[0])
