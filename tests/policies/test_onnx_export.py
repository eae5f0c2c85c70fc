"""ONNX files of policies, run by onnxruntime, against the policies themselves."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from pretraingym.env.console.action_map import ActionMap
from pretraingym.env.observation.features import AGENT_FEATURES, TRAINING_FEATURES, bounds
from pretraingym.env.observation.observation import Observation
from pretraingym.lm.io.errors import InputError
from pretraingym.policies.actors.actor import Actor
from pretraingym.policies.actors.gain_actor import GainActor, GainConfig
from pretraingym.policies.actors.schedule_actor import ScheduleActor, ScheduleConfig
from pretraingym.policies.actors.set_actor import SetActor, SetActorConfig
from pretraingym.policies.onnx_export import export_onnx
from pretraingym.policies.saved.card import PolicyCard
from pretraingym.policies.saved.learned import LearnedPolicy

SIZES = ((1, 2), (3, 7), (5, 14), (2, 1))  # runs, agents


def policy_of(actor: Actor) -> LearnedPolicy:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for parameter in actor.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return LearnedPolicy(actor, PolicyCard("ppo", (), "", "", "", {}, {}))


def random_observation(num_runs: int, num_agents: int) -> Observation:
    rng = np.random.default_rng(num_runs)
    (low, high), (training_low, training_high) = bounds(AGENT_FEATURES), bounds(TRAINING_FEATURES)
    mask = rng.random((num_runs, num_agents)) < 0.7
    mask[:, 0] = True
    agents = rng.uniform(low, high, (*mask.shape, len(low))) * mask[..., None]
    training = rng.uniform(training_low, training_high, (num_runs, len(training_low)))
    return Observation(agents.astype(np.float32), mask, training.astype(np.float32))


@pytest.mark.parametrize(
    "actor",
    [
        SetActor(SetActorConfig(), ActionMap()),
        SetActor(SetActorConfig(hidden=8), ActionMap(scale=3.0, floor=0.1, base_null=0.4)),
        GainActor(GainConfig(), ActionMap()),
    ],
    ids=["linear", "hidden", "gain"],
)
def test_the_file_gives_the_policys_weights_for_any_number_of_runs_and_agents(actor: Actor, tmp_path: Path) -> None:
    policy, path = policy_of(actor), tmp_path / "policy.onnx"
    export_onnx(policy, path)
    session = onnxruntime.InferenceSession(path)
    for num_runs, num_agents in SIZES:
        seen = random_observation(num_runs, num_agents)
        policy.reset(tuple(map(str, range(num_agents))), num_runs)
        parts = {"agents": seen.agents, "mask": seen.mask, "statistics": seen.statistics}
        np.testing.assert_allclose(session.run(None, parts)[0], policy.act(seen), rtol=0, atol=1e-6)


def test_the_file_names_the_features_and_whether_first_weights_are_kept(tmp_path: Path) -> None:
    export_onnx(policy_of(GainActor(GainConfig(), ActionMap())), tmp_path / "policy.onnx")
    about = onnxruntime.InferenceSession(tmp_path / "policy.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(about["agent_features"]) == [feature.name for feature in AGENT_FEATURES]
    assert json.loads(about["training_features"]) == [feature.name for feature in TRAINING_FEATURES]
    assert json.loads(about["decides_once"]) is True


def test_weights_that_go_by_names_are_refused(tmp_path: Path) -> None:
    actor = ScheduleActor(ScheduleConfig(("quality",)), ActionMap())
    with pytest.raises(InputError, match="names of agents"):
        export_onnx(policy_of(actor), tmp_path / "policy.onnx")
    assert not (tmp_path / "policy.onnx").exists()


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs onnx and onnxscript: pip install 'pretraingym\[onnx\]'"):
        export_onnx(policy_of(SetActor(SetActorConfig(), ActionMap())), tmp_path / "policy.onnx")
