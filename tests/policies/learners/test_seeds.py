"""What is learned is a function of the seed: in another process, too, or no run could go on from its journal."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pretraingym.env.console.action_map import ActionMap
from pretraingym.policies.learners.learning import learn
from pretraingym.policies.learners.table import LEARNERS, learner_named

AGENTS = ("null", "a", "b", "c", "d")  # the toy's
with_networks = pytest.mark.parametrize("algorithm", ["ppo", "sac", "tqc"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Digests of what two fresh processes made of the same seed."""
    command = [sys.executable, str(Path(__file__).with_name("drive_learning.py"))]
    texts = []
    for number in range(2):
        folder = str(tmp_path_factory.mktemp(f"process-{number}"))
        texts.append(subprocess.run([*command, folder], capture_output=True, text=True, check=True).stdout)
    return [json.loads(text) for text in texts]


@with_networks
@pytest.mark.parametrize("what", ["start", "networks", "learned"])
def test_two_processes_have_the_same_weights(made: list[dict[str, Any]], algorithm: str, what: str) -> None:
    one, other = (of_process[algorithm][what] for of_process in made)
    assert one == other, f"{algorithm}: weights ({what}) differ between two processes with the same seed"


@with_networks
def test_another_seed_draws_other_weights(algorithm: str) -> None:
    one, other = (learner_named(algorithm).start_actor(ActionMap(), AGENTS, seed) for seed in (1, 2))
    drawn = "trust_residual.0.weight"
    assert not torch.equal(one.get_parameter(drawn), other.get_parameter(drawn))


@pytest.mark.parametrize("algorithm", LEARNERS)
def test_drawing_weights_leaves_the_global_generator_alone(algorithm: str) -> None:
    before = torch.get_rng_state()
    learner_named(algorithm).start_actor(ActionMap(), AGENTS, 1)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_killed_run_goes_on_whatever_was_drawn_meanwhile(toy: Callable[..., Any], tmp_path: Path) -> None:
    def learned(rounds: int, journal: str) -> torch.Tensor:
        torch.seed()  # the global generator as in a fresh process
        actor, _ = learn("ppo", toy(8, 4), rounds, 0, tmp_path / journal, lambda _: None, lambda _: None)
        return torch.nn.utils.parameters_to_vector(actor.parameters())

    learned(1, "killed")
    assert torch.equal(learned(3, "killed"), learned(3, "whole"))
