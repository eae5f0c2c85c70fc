"""A package of agents from outside: really installed, into a folder of its own, and used in a process of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pretraingym.env.console.action_map import ActionMap
from pretraingym.env.observation.features import AGENT_FEATURES, column
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.policies.actors.actor_config import SetActorConfig
from pretraingym.policies.actors.set_actor import SetActor
from pretraingym.policies.saved.card import PolicyCard
from pretraingym.policies.saved.learned import LearnedPolicy
from pretraingym.policies.saved.storage import save_policy

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the package is installed."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(TESTS / "plugin", folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    options = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", "site", "./source"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return folder / "site"


@pytest.fixture(scope="module")
def seen(site: Path, tiny_corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What drive_plugin.py saw, driven by a policy that was saved before the package was there."""
    folder = tmp_path_factory.mktemp("driven")
    shutil.copytree(tiny_corpus.path, folder / "corpus")
    config = SetActorConfig(("moves", "lift_mean", "agreement", "ridge"), ("progress", "scarcity", "max.lift_mean"))
    card = PolicyCard("cma-es", ("null", "quality", "topic"), "none", "none", "pytest", {}, {})
    actor = SetActor(config, ActionMap())
    with torch.no_grad():
        for parameter in actor.parameters():
            parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(0))
    save_policy(folder / "policy", LearnedPolicy(actor, card))
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-W", "error", str(Path(__file__).with_name("drive_plugin.py"))]
    done = subprocess.run(
        [*command, folder / "corpus", folder / "policy"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_its_agents_are_known_and_are_the_installed_ones(seen: dict[str, Any], site: Path) -> None:
    assert {"shortness", "brevity", "quality"} <= set(seen["kinds"])
    assert Path(seen["loaded_from"]) == site / "short_text_agents.py"


def test_they_label_a_corpus(seen: dict[str, Any]) -> None:
    for values in seen["values"].values():
        assert len(values) == 5
        assert values == sorted(values)
    assert seen["letters"] == sorted(seen["letters"], reverse=True)  # the top fifth has the shortest words


def test_an_agent_has_a_row_and_a_weight_or_the_row_alone(seen: dict[str, Any]) -> None:
    assert seen["agents"] == ["null", "domain", "shortness", "brevity"]
    assert seen["action"] == [len(seen["agents"])]
    rows, masks, in_force = (np.array(seen[name]) for name in ("rows", "masks", "in_force"))
    assert rows.shape == (3, 2, 4, len(AGENT_FEATURES))
    draw_spread = rows[..., column(AGENT_FEATURES, "draw_spread")]
    shortness, brevity = seen["agents"].index("shortness"), seen["agents"].index("brevity")
    assert (draw_spread[..., [shortness, brevity]] > 0.1).all()  # both say something
    assert masks[..., :brevity].all()
    assert (in_force[..., shortness] > 0).all()
    assert not masks[..., brevity].any()  # it is seen, and takes no weight
    assert (in_force[..., brevity] == 0).all()


def test_a_policy_that_never_saw_them_drives_them(seen: dict[str, Any]) -> None:
    assert not {"shortness", "brevity"} & set(seen["trained_with"])
    chosen = np.array(seen["chosen"])
    brevity = seen["agents"].index("brevity")
    assert (chosen[..., :brevity] > 0).all()
    assert (chosen[..., brevity] == 0).all()
    np.testing.assert_allclose(chosen.sum(-1), 1)
    np.testing.assert_allclose(chosen, seen["in_force"], atol=1e-6)  # the environment acted on them
    domain, shortness = (chosen[..., seen["agents"].index(name)] for name in ("domain", "shortness"))
    assert np.ptp(shortness / (domain + shortness)) > 0.01  # by what it sees, not by a constant


def test_nothing_is_left_beside_the_source() -> None:
    left = {path.name for path in (TESTS / "plugin").iterdir()} - {"__pycache__"}
    assert left == {"pyproject.toml", "short_text_agents.py"}
