"""Learned policies on disk: what is loaded is what was saved, and bad files are refused in one clear line."""

import hashlib
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from pretraingym.env.console.action_map import ActionMap
from pretraingym.env.observation.features import AGENT_FEATURES, TRAINING_FEATURES
from pretraingym.env.observation.observation import Observation
from pretraingym.lm.io.errors import InputError
from pretraingym.policies.actors.actor_config import SetActorConfig
from pretraingym.policies.actors.set_actor import SetActor
from pretraingym.policies.registry import make_policy
from pretraingym.policies.saved.card import PolicyCard
from pretraingym.policies.saved.learned import LearnedPolicy
from pretraingym.policies.saved.storage import load_policy, policy_hash, save_policy

Json = dict[str, Any]


def observation(seed: int = 0) -> Observation:
    rng = np.random.default_rng(seed)
    runs, agents = 6, 7
    seen = rng.uniform(-0.5, 0.5, (runs, agents, len(AGENT_FEATURES))).astype(np.float32)
    mask = rng.random((runs, agents)) < 0.7
    mask[:, 0] = True  # null
    return Observation(seen, mask, rng.uniform(-0.5, 0.5, (runs, len(TRAINING_FEATURES))).astype(np.float32))


@pytest.fixture
def saved(tmp_path: Path, toy_actor: SetActor, card: PolicyCard) -> Path:
    """A folder with a saved policy."""
    about = replace(card, ranges={"lift_mean": (-0.5, 0.5)}, evaluation=({"policy": "natural", "gain": 0.0},))
    save_policy(tmp_path, LearnedPolicy(toy_actor, about))
    return tmp_path


def change_json(folder: Path, change: Callable[[Json], object]) -> None:
    about = json.loads((folder / "policy.json").read_text())
    change(about)
    (folder / "policy.json").write_text(json.dumps(about))


def change_arrays(folder: Path, change: Callable[[Any], object], metadata: dict[str, str] | None = None) -> None:
    """Arrays of another policy with the right hash, as from someone who made both files."""
    arrays = load_file(folder / "policy.safetensors")
    change(arrays)
    save_file(arrays, folder / "policy.safetensors", metadata)
    digest = hashlib.sha256((folder / "policy.safetensors").read_bytes()).hexdigest()
    change_json(folder, lambda about: about.update(sha256=digest))


def refuses(path: Path) -> str:
    with pytest.raises(InputError) as error:
        load_policy(path)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", ["", "policy.json", "policy.safetensors"])
def test_what_is_loaded_is_what_was_saved(saved: Path, toy_actor: SetActor, card: PolicyCard, name: str) -> None:
    policy = make_policy(str(saved / name))
    assert isinstance(policy, LearnedPolicy)
    assert policy.name == "learned-cma-es"
    assert policy.actor.config == toy_actor.config
    assert policy.card.evaluation == ({"policy": "natural", "gain": 0.0},)
    assert policy.card.ranges == {"lift_mean": (-0.5, 0.5)}
    weights = policy.act(observation())
    np.testing.assert_array_equal(weights, LearnedPolicy(toy_actor, card).act(observation()))
    np.testing.assert_allclose(weights.sum(1), 1)
    assert (weights[~observation().mask] == 0).all()
    assert policy.describe()


def test_saving_again_gives_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    save_policy(tmp_path / "again", load_policy(saved))
    for name in ("policy.json", "policy.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (saved / name).read_bytes()


def test_warns_once_beyond_the_ranges_of_training(saved: Path) -> None:
    policy, seen = load_policy(saved), observation()
    policy.act(seen)
    seen.agents[...] *= 3
    meaning = r"lift_mean \(mean standardised score of the reference tasks' validation documents\) is -?1\.\d+, in its "
    with pytest.warns(UserWarning, match=f"may choose badly here.*: {meaning}training -0.5 to 0.5. Run") as warned:
        policy.act(seen)
    assert len(warned) == 1
    policy.reset(("null", *"abcdef"), 6)
    policy.act(seen)  # no second warning: it would be an error here


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda about: about.update(extra=1), "unknown key 'extra'"),
        (lambda about: about.pop("card"), "lacks the key 'card'"),
        (lambda about: about["card"].update(path="x"), "policy.json.card has the unknown key 'path'"),
        (lambda about: about.update(schema_version=2), "schema_version is 2, expected 1"),
        (lambda about: about.update(schema_version=True), "schema_version is True, expected 1"),
        (lambda about: about["architecture"].update(name="os.system"), "name is 'os.system', expected 'set-actor'"),
        (lambda about: about["architecture"].update(hidden=10**9), "hidden is 1000000000, expected a width"),
        (lambda about: about["architecture"].update(hidden=1.5), "hidden is 1.5, expected a whole number"),
        (lambda about: about["architecture"].update(trust="agreement"), "trust is 'agreement', expected a list"),
        (lambda about: about["architecture"].update(trust=["gradient_norm"]), "'gradient_norm' is not supplied"),
        (lambda about: about["architecture"].update(strength=[]), "strength features are []"),
        (lambda about: about["action_map"].update(scale="4"), "scale is '4', expected a finite number"),
        (lambda about: about["action_map"].update(floor=1), "floor in [0, 1)"),
        (lambda about: about["card"].update(algorithm="../dqn"), "algorithm is '../dqn', expected a learner's name"),
        (lambda about: about["card"].update(algorithm="d" * 33), "expected a learner's name: at most 32"),
        (lambda about: about["card"]["ranges"].update(ridge=[0]), "ranges.ridge is [0], expected a list of 2"),
        (lambda about: about["card"].update(evaluation=[{"gain": []}]), "evaluation[0].gain is []"),
        (lambda about: about["card"].update(command="x" * 20_000), "text of at most 10000 characters"),
        (lambda about: about.update(sha256="0" * 64), "does not have the hash"),
    ],
)
def test_bad_json_is_refused(saved: Path, change: Callable[[Json], object], expected: str) -> None:
    change_json(saved, change)
    assert expected in refuses(saved)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ('{"a": NaN}', "NaN is not a number JSON allows"),
        ('{"a": 1, "a": 1}', "a key appears twice"),
        ("[]", "expected an object"),
        (" " * (1 << 20) + "{}", "larger than 1048576 bytes"),
    ],
)
def test_what_is_not_json_is_refused(saved: Path, text: str, expected: str) -> None:
    (saved / "policy.json").write_text(text)
    assert expected in refuses(saved)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda arrays: arrays.pop("trust.weight"), "expected ['strength.bias'"),
        (lambda arrays: arrays.update(more=np.zeros(1, np.float32)), "holds arrays ['more'"),
        (lambda arrays: arrays.update({"trust.weight": np.zeros((1, 4), np.float32)}), "expected float32 (1, 3)"),
        (lambda arrays: arrays.update({"trust.weight": np.zeros((1, 3))}), "is float64 (1, 3), expected float32"),
        (lambda arrays: arrays["trust.weight"].fill(np.nan), "not finite"),
        (lambda arrays: arrays["trust_scale.scale"].fill(0), "scales not above 0"),
    ],
)
def test_bad_arrays_are_refused(saved: Path, change: Callable[[Any], object], expected: str) -> None:
    change_arrays(saved, change)
    assert expected in refuses(saved)


def test_damaged_files_are_refused(saved: Path) -> None:
    arrays = saved / "policy.safetensors"
    whole = arrays.read_bytes()
    arrays.write_bytes(whole[:-4])
    assert "does not have the hash" in refuses(saved)
    arrays.write_bytes(whole[:50] + b"X" + whole[51:])
    assert "does not have the hash" in refuses(saved)
    arrays.unlink()
    assert "no policy.safetensors in" in refuses(saved)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 100,
        (1 << 21).to_bytes(8, "little") + b" " * (1 << 22),
        (8).to_bytes(8, "little") + b"not json",
        pickle.dumps({"a": 1}),
    ],
)
def test_what_is_not_safetensors_is_refused(saved: Path, data: bytes) -> None:
    (saved / "policy.safetensors").write_bytes(data)
    change_json(saved, lambda about: about.update(sha256=hashlib.sha256(data).hexdigest()))
    assert "safetensors" in refuses(saved)


def test_a_huge_header_is_refused(saved: Path) -> None:
    change_arrays(saved, lambda arrays: None, {"note": "x" * (1 << 20)})
    assert "not a safetensors file" in refuses(saved)


def test_a_huge_file_is_refused_unread(saved: Path) -> None:
    with open(saved / "policy.safetensors", "r+b") as file:
        file.truncate(1 << 30)  # sparse
    assert "larger than 67108864 bytes" in refuses(saved)


def test_saving_refuses_what_loading_would(tmp_path: Path, toy_actor: SetActor, card: PolicyCard) -> None:
    with pytest.raises(InputError, match="algorithm is 'DQN'"):
        save_policy(tmp_path, LearnedPolicy(toy_actor, replace(card, algorithm="DQN")))
    assert not list(tmp_path.iterdir())


def test_a_path_that_is_none_of_a_policys_names_nothing_else(tmp_path: Path, card: PolicyCard) -> None:
    save_policy(tmp_path, LearnedPolicy(SetActor(SetActorConfig(), ActionMap()), card))
    assert load_policy(tmp_path / "policy.json").card == card
    for wrong in (tmp_path / "nonexistent", tmp_path / "policy.yaml"):
        with pytest.raises(
            InputError, match=f"no policy at {wrong}: give a policy's folder, its policy.json or a policy"
        ):
            load_policy(wrong)


def test_a_hash_is_the_files(tmp_path: Path, card: PolicyCard) -> None:
    policy = LearnedPolicy(SetActor(SetActorConfig(), ActionMap()), card)
    save_policy(tmp_path, policy)
    assert json.loads((tmp_path / "policy.json").read_text())["sha256"] == policy_hash(policy)
