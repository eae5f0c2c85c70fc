"""Files made to do harm, or damaged: every one is refused in one line, and nothing in it is ever run or unpacked."""

import gzip
import hashlib
import io
import json
import pickle
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pretraingym.env.console.action_map import ActionMap
from pretraingym.lm.io.errors import InputError
from pretraingym.policies.actors.actor import Actor
from pretraingym.policies.actors.actor_config import SetActorConfig
from pretraingym.policies.actors.gain_actor import GainActor, GainConfig
from pretraingym.policies.actors.schedule_actor import ScheduleActor, ScheduleConfig
from pretraingym.policies.actors.set_actor import SetActor
from pretraingym.policies.saved.card import PolicyCard
from pretraingym.policies.saved.learned import LearnedPolicy
from pretraingym.policies.saved.storage import MAX_HEADER, load_policy, save_policy

Case = tuple[bytes, bytes]  # policy.json and policy.safetensors
RAN = Path("ran-code-from-a-file")


class Bomb:
    """What a pickle would run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (RAN.touch, ())


def sealed(about: dict[str, Any], arrays: bytes) -> Case:
    """With the right hash, as from someone who made both files."""
    return json.dumps(about | {"sha256": hashlib.sha256(arrays).hexdigest()}).encode(), arrays


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from paths(value[key], (*path, key))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    copied = json.loads(json.dumps(value))
    place = copied
    for key in path[:-1]:
        place = place[key]
    if new is KeyError:
        del place[path[-1]]
    else:
        place[path[-1]] = new
    return copied


def json_cases(about: dict[str, Any], arrays: bytes) -> Iterator[tuple[str, Case]]:
    """Every value of the JSON left out or of another kind, and keys that nobody knows."""
    of_other_kinds: list[Any] = [None, {}, [[]], "x" * 20_000, 1e308 * 10, -(2**80), {"__reduce__": "os.system"}]
    for path in paths(about):
        where = ".".join(map(str, path))
        if not path or path == ("sha256",) or path[:2] == ("card", "evaluation"):
            continue
        if not isinstance(path[-1], int) and path[:2] not in (("card", "versions"), ("card", "ranges")):
            yield f"without {where}", sealed(changed(about, path, KeyError), arrays)
        for new in of_other_kinds:
            if isinstance(new, dict) and path == ("card", "versions"):
                continue  # texts by text: nothing looks at them
            if new == {} and path == ("card", "ranges"):
                continue
            yield f"{where} is {str(new)[:20]}", sealed(changed(about, path, new), arrays)
    for path in ((), ("architecture",), ("action_map",), ("card",)):
        yield f"more in {path}", sealed(changed(about, (*path, "__class__"), "os.system"), arrays)
    for name in ("torch.nn.Linear", "../set-actor", "set-actor\0", "builtins.eval", ""):
        yield f"architecture {name!r}", sealed(changed(about, ("architecture", "name"), name), arrays)


def safetensors(header: Any, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def array_cases(about: dict[str, Any], arrays: bytes) -> Iterator[tuple[str, Case]]:
    length = int.from_bytes(arrays[:8], "little")
    header, data = json.loads(arrays[8 : 8 + length]), arrays[8 + length :]
    for cut in sorted({0, 1, 7, 8, 9, 8 + length // 2, 8 + length, 9 + length, len(arrays) - 1}):
        yield f"cut at {cut}", sealed(about, arrays[:cut])
    for size in (0, 1, length - 1, length + 1, len(arrays), MAX_HEADER, MAX_HEADER + 1, 2**31, 2**63, 2**64 - 1):
        yield f"a header of {size}", sealed(about, struct.pack("<Q", size) + arrays[8:])
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        changes: dict[str, Any] = {
            "F64": {"dtype": "F64"}, "I32": {"dtype": "I32"}, "no type": {"dtype": "object"}, "type 1": {"dtype": 1},
            "longer": {"shape": [*entry["shape"], 2]}, "huge": {"shape": [2**40]}, "below 0": {"shape": [-1]},
            "wraps": {"shape": [2**62, 4]}, "no shape": {"shape": "all"}, "beyond": {"data_offsets": [begin, 2**62]},
            "backwards": {"data_offsets": [end, begin]}, "before": {"data_offsets": [-4, end]},
            "overlaps": {"data_offsets": [max(begin - 4, 0) + 4 * (begin == 0), end]}, "more": {"pickled": "yes"},
        }  # fmt: skip
        for what, change in changes.items():
            if what == "more":
                continue  # safetensors reads past what it does not know; no harm comes of it
            yield f"{name}: {what}", sealed(about, safetensors(header | {name: entry | change}, data))
        renamed = {("../../" + key if key == name else key): value for key, value in header.items()}
        yield f"{name}: path", sealed(about, safetensors(renamed, data))
        less = {key: value for key, value in header.items() if key != name}
        yield f"{name}: left out", sealed(about, safetensors(less, data))
        for value in (np.nan, np.inf, -np.inf):
            spoilt = bytearray(data)
            spoilt[begin : begin + 4] = np.float32(value).tobytes()
            yield f"{name}: {value}", sealed(about, safetensors(header, bytes(spoilt)))
    for text in (b"", b"{", b"[]", b"null", b'{"a": 1}', b"\xff" * 40, b"{" * 100_000, json.dumps(header).encode() * 2):
        yield f"header {text[:8]!r}", sealed(about, safetensors(text, data))
    yield "bytes left over", sealed(about, arrays + b"\0" * 64)


def foreign_cases(about: dict[str, Any], arrays: bytes) -> Iterator[tuple[str, Case]]:
    """Other formats under our names: those that run code, and those that unpack to more than there is memory."""
    zipped, saved, plain = io.BytesIO(), io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("policy.json", b"0" * (64 << 20))
        archive.writestr("../../escape", b"x")
    torch.save(Bomb(), saved)
    np.save(plain, np.array([Bomb()], dtype=object), allow_pickle=True)
    foreign = {
        "pickle": pickle.dumps(Bomb()), "old pickle": pickle.dumps(Bomb(), 0), "zip bomb": zipped.getvalue(),
        "torch": saved.getvalue(), "npy": plain.getvalue(), "gzip": gzip.compress(b"0" * (64 << 20)),
        "elf": b"\x7fELF" + b"\0" * 200, "script": b"#!/bin/sh\ntouch " + str(RAN).encode(),
        "yaml": b"!!python/object/apply:os.system ['touch ran-code-from-a-file']", "nothing": b"",
    }  # fmt: skip
    for name, content in foreign.items():
        yield f"{name} for JSON", (content, arrays)
        yield f"{name} for arrays", sealed(about, content)
    text = json.dumps(about).encode()
    for name, spoilt in {
        "twice": text[:-1] + b', "card": {}}', "deep": b'{"a":' * 50_000, "nan": text.replace(b"0.02", b"NaN"),
        "utf-16": text.decode().encode("utf-16"), "cut": text[: len(text) // 2], "zero": text + b"\0",
        "hex": text.replace(b'"sha256": "', b'"sha256": "../'),
    }.items():  # fmt: skip
        yield f"JSON {name}", (spoilt, arrays)


def refused(folder: Path, what: str) -> str:
    try:
        load_policy(folder)
    except InputError as error:
        return str(error)
    except Exception as error:
        raise AssertionError(f"{what}: {error!r}") from error
    raise AssertionError(f"{what}: it was loaded")


@pytest.mark.parametrize(
    "actor",
    [
        SetActor(SetActorConfig(), ActionMap()),
        GainActor(GainConfig(), ActionMap()),
        ScheduleActor(ScheduleConfig(("a", "b"), 2), ActionMap()),
    ],
    ids=["set-actor", "gain", "schedule"],
)
def test_every_hostile_file_is_refused_in_one_line(
    actor: Actor, card: PolicyCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_policy(tmp_path, LearnedPolicy(actor, card))
    json_path, arrays_path = tmp_path / "policy.json", tmp_path / "policy.safetensors"
    about, arrays = json.loads(json_path.read_bytes()), arrays_path.read_bytes()
    number = 0
    for make in (json_cases, array_cases, foreign_cases):
        for what, (text, data) in make(about, arrays):
            json_path.write_bytes(text)
            arrays_path.write_bytes(data)
            refusal = refused(tmp_path, what)
            assert "\n" not in refusal, what
            assert len(refusal) < 600, what
            number += 1
    assert number >= 200
    assert not RAN.exists()
    json_path.write_bytes(sealed(about, arrays)[0])
    arrays_path.write_bytes(arrays)
    load_policy(tmp_path)
