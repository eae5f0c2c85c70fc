"""What test_seeds.py runs in a process of its own: argv is an empty folder for journals; stdout is JSON of what the
learners that draw initial weights make of one seed."""

import hashlib
import json
import sys
from pathlib import Path

import torch

from pretraingym.policies.learners.learning import learn
from pretraingym.policies.learners.table import learner_named
from pretraingym.policies.sb3.vec_env import SB3ConsoleVecEnv

sys.path.insert(0, str(Path(__file__).parents[1]))
from conftest import AGENTS, ToyVectorEnv

SEED = 7


def digest(module: torch.nn.Module) -> str:
    """One text for all parameters, bit by bit."""
    values = [parameter.detach().numpy().tobytes() for parameter in module.parameters()]
    return hashlib.sha256(b"".join(values)).hexdigest()


def main(folder: Path) -> dict[str, dict[str, str]]:
    made = {}
    for name in ("ppo", "sac", "tqc"):
        torch.seed()  # the global generator as in a fresh process: Stable-Baselines3 has seeded it
        env = ToyVectorEnv(8, 4)
        start = learner_named(name).start_actor(env.action_map, AGENTS, SEED)
        model = learner_named(name).make_algorithm(SB3ConsoleVecEnv(env), start, seed=SEED)
        torch.seed()
        learned, _ = learn(name, ToyVectorEnv(8, 4), 1, SEED, folder / name, lambda _: None, lambda _: None)
        made[name] = {"start": digest(start), "networks": digest(model.policy), "learned": digest(learned)}
    return made


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
