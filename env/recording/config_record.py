"""What recorded episodes ran on: setting, corpus, names and versions, under one hash."""

import hashlib
import json
from dataclasses import dataclass, replace
from importlib.metadata import version
from platform import python_version
from typing import Any

from ...lm.corpus.corpus import Corpus
from ...lm.io.errors import InputError
from ...lm.io.typed_json import exact_keys, from_json, keys_of, to_json
from ..scenarios.task import Task
from ..settings.setting import EpisodeSetting
from ..settings.setting_json import setting_as_json, setting_from_json

PACKAGES = ("numpy", "torch", "transformers", "pretraingym")


@dataclass(frozen=True)
class CorpusUsed:
    """The corpus of a run: its folder, and the fingerprint of all its bytes."""

    path: str
    fingerprint: str

    @classmethod
    def of(cls, corpus: Corpus) -> "CorpusUsed":
        return cls(str(corpus.path.resolve()), corpus.fingerprint)


@dataclass(frozen=True)
class ConfigRecord:
    """setting: a `Setting` or `SurrogateSetting`; agents: K names; tasks: T names; columns: the label columns that are
    read, each with the names of its categories; versions: of Python and of the libraries whose change may change a
    number."""

    setting: Any
    corpus: CorpusUsed
    agents: tuple[str, ...]
    tasks: tuple[str, ...]
    columns: dict[str, tuple[str, ...]]
    versions: dict[str, str]

    @classmethod
    def of(cls, task: Task, setting: EpisodeSetting) -> "ConfigRecord":
        """The config of episodes that run here and now."""
        columns = {name: tuple(labels.names) for name, labels in task.layout.columns.items()}
        versions = {"python": python_version(), **{name: version(name) for name in PACKAGES}}
        return cls(setting, CorpusUsed.of(task.corpus), task.agent_names, task.reference_tasks, columns, versions)

    def as_json(self) -> dict[str, Any]:
        """The object of its line. InputError: a setting that could not be read again."""
        content = to_json(self) | {"setting": setting_as_json(self.setting)}
        return {"kind": "config", "hash": content_hash(content), **content}

    @classmethod
    def from_json(cls, value: Any, where: str) -> "ConfigRecord":
        """What `as_json` was of. InputError: a key, a type or the hash is wrong."""
        exact_keys(value, ["kind", "hash", *keys_of(cls)], where)
        stated = from_json(str, value["hash"], f"{where}.hash")
        content = {key: item for key, item in value.items() if key not in ("kind", "hash")}
        read = from_json(cls, content, where)
        if content_hash(content) != stated:
            raise InputError(f"{where} does not have the hash that it names: it was changed, restore it")
        return replace(read, setting=setting_from_json(read.setting, f"{where}.setting"))


def content_hash(content: dict[str, Any]) -> str:
    """SHA-256 of the canonical JSON (sorted keys, no spaces) of a config line without its kind and hash."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
