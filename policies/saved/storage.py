"""Learned policies on disk: policy.safetensors holds the arrays, policy.json all else. Nothing is ever unpickled."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ...env.console.action_map import ActionMap
from ...lm.io import json_schema as schema
from ...lm.io.errors import InputError
from ...lm.io.files import write_atomic
from ...lm.io.typed_json import from_json, to_json
from ..actors.actor import Actor
from ..actors.actor_config import SetActorConfig
from ..actors.gain_actor import GainActor, GainConfig
from ..actors.schedule_actor import ScheduleActor, ScheduleConfig
from ..actors.set_actor import SetActor
from .card import PolicyCard, learner_name
from .learned import LearnedPolicy

SCHEMA_VERSION = 1
ABOUT, ARRAYS = "policy.json", "policy.safetensors"
ARCHITECTURES: dict[str, tuple[type[Any], type[Any]]] = {  # of its config and of the actor
    "set-actor": (SetActorConfig, SetActor),
    "gain": (GainConfig, GainActor),
    "schedule": (ScheduleConfig, ScheduleActor),
}
MAX_HEADER, MAX_FILE = 1 << 20, 64 << 20  # bytes of a safetensors header or of the JSON; of the arrays' file

_names = schema.items(schema.text)
CHECK = schema.record(
    {
        "schema_version": schema.one_of(SCHEMA_VERSION),
        "architecture": schema.mapping(schema.anything),
        "action_map": schema.record({"scale": schema.number, "floor": schema.number, "base_null": schema.number}),
        "card": schema.record(
            {
                "algorithm": learner_name,
                "agents": _names,
                "proxies": schema.text,
                "corpus": schema.text,
                "command": schema.text,
                "versions": schema.mapping(schema.text),
                "ranges": schema.mapping(schema.items(schema.number, 2)),
                "evaluation": schema.items(schema.mapping(schema.cell)),
                "proxy_runs": schema.natural,
            }
        ),
        "sha256": schema.text,
    }
)


def save_policy(folder: Path, policy: LearnedPolicy) -> None:
    """Write policy.safetensors, then policy.json with its hash: loading refuses a pair that does not match."""
    folder.mkdir(parents=True, exist_ok=True)
    actor = policy.actor
    data = _bytes_of(actor)
    about = {
        "schema_version": SCHEMA_VERSION,
        "architecture": {"name": actor.architecture, **to_json(actor.config)},
        "action_map": asdict(actor.action_map),
        "card": asdict(policy.card),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    CHECK(json.loads(json.dumps(about)), "the policy to save")
    write_atomic(folder / ARRAYS, data)
    write_atomic(folder / ABOUT, json.dumps(about, indent=1).encode())


def policy_hash(policy: LearnedPolicy) -> str:
    """SHA-256 of its arrays, as policy.json has it."""
    return hashlib.sha256(_bytes_of(policy.actor)).hexdigest()


def load_policy(path: Path) -> LearnedPolicy:
    """The policy in a run folder, or by the path of either of its two files. InputError: missing, damaged, or asking
    for what this version or its environment does not have; nothing is built before everything was checked."""
    if not path.is_dir() and path.name not in (ABOUT, ARRAYS):
        raise InputError(f"no policy at {path}: give a policy's folder, its {ABOUT} or a policy's name")
    folder = path if path.is_dir() else path.parent
    about_path, arrays_path = folder / ABOUT, folder / ARRAYS
    about = schema.parse_json(_read(about_path, MAX_HEADER), str(about_path), "save or copy the policy again")
    CHECK(about, str(about_path))
    data = _read(arrays_path, MAX_FILE)
    if hashlib.sha256(data).hexdigest() != about["sha256"]:
        raise InputError(
            f"{arrays_path} does not have the hash in {about_path.name}: one is damaged or another policy's"
        )
    arrays = _arrays(data, arrays_path)
    try:
        actor = _actor(about["architecture"], _action_map(about["action_map"]))
    except InputError as error:
        raise InputError(f"{about_path}: {error}") from None
    _fill(actor, arrays, arrays_path)
    return LearnedPolicy(actor, _card(about["card"]))


def _bytes_of(actor: Actor) -> bytes:
    return save({name: np.ascontiguousarray(value.cpu().numpy()) for name, value in actor.state_dict().items()})


def _read(path: Path, limit: int) -> bytes:
    if not path.is_file():
        raise InputError(f"no {path.name} in {path.parent}: give a policy's folder, its {ABOUT} or a policy's name")
    with open(path, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise InputError(f"{path} is larger than {limit} bytes, more than any policy: it is not one")
    return data


def _arrays(data: bytes, path: Path) -> dict[str, NDArray]:
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(MAX_HEADER, len(data) - 8):
        raise InputError(f"{path} is not a safetensors file, or is cut short: save or copy the policy again")
    try:
        return load(data)
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path} is not a readable safetensors file ({error}): save or copy the policy again"
        ) from None


def _actor(about: dict[str, Any], action_map: ActionMap) -> Actor:
    schema.one_of(*ARCHITECTURES)(about.get("name"), "architecture.name")
    config, actor = ARCHITECTURES[about["name"]]
    fields = {key: value for key, value in about.items() if key != "name"}
    made: Actor = actor(from_json(config, fields, "architecture"), action_map)
    return made


def _action_map(about: dict[str, float]) -> ActionMap:
    return ActionMap(*(float(about[key]) for key in ("scale", "floor", "base_null")))


def _card(about: dict[str, Any]) -> PolicyCard:
    ranges = {name: (float(low), float(high)) for name, (low, high) in about["ranges"].items()}
    return PolicyCard(
        **{**about, "agents": tuple(about["agents"]), "ranges": ranges, "evaluation": tuple(about["evaluation"])}
    )


def _fill(actor: Actor, arrays: dict[str, NDArray], path: Path) -> None:
    own = actor.state_dict()
    if set(arrays) != set(own):
        raise InputError(f"{path} holds arrays {sorted(arrays)}, expected {sorted(own)}")
    for name, array in arrays.items():
        shape = tuple(own[name].shape)
        if array.shape != shape or array.dtype != np.float32:
            raise InputError(f"{path}: '{name}' is {array.dtype} {array.shape}, expected float32 {shape}")
        if not np.isfinite(array).all() or (name.endswith(".scale") and not (array > 0).all()):
            raise InputError(f"{path}: '{name}' has values that are not finite, or scales not above 0: train it again")
    actor.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in arrays.items()})
