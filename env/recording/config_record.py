"""What recorded episodes ran on: setting, corpus, names and versions, under one hash."""

import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import version
from platform import python_version
from typing import Any

from ...lm.io import json_schema as schema
from ...lm.io.errors import InputError
from ..scenarios.task import Task
from ..settings.setting import EpisodeSetting
from ..settings.setting_json import setting_as_json, setting_from_json

PACKAGES = ("numpy", "torch", "transformers", "pretraingym")

_names = schema.items(schema.text)
_CHECK = schema.record(
    {
        "kind": schema.one_of("config"),
        "hash": schema.text,
        "setting": schema.anything,
        "corpus": schema.record({"path": schema.text, "fingerprint": schema.text}),
        "agents": _names,
        "tasks": _names,
        "columns": schema.mapping(_names),
        "versions": schema.mapping(schema.text),
    }
)


@dataclass(frozen=True)
class ConfigRecord:
    """setting: a `Setting` or `SurrogateSetting`; corpus and fingerprint: the corpus's folder, and its name for all of
    its bytes; agents: K names; tasks: T names; columns: the label columns that are read, each with the names of its
    categories; versions: of Python and of the libraries whose change may change a number."""

    setting: Any
    corpus: str
    fingerprint: str
    agents: tuple[str, ...]
    tasks: tuple[str, ...]
    columns: dict[str, tuple[str, ...]]
    versions: dict[str, str]

    @classmethod
    def of(cls, task: Task, setting: EpisodeSetting) -> "ConfigRecord":
        """Of episodes that run here and now."""
        columns = {name: tuple(labels.names) for name, labels in task.layout.columns.items()}
        versions = {"python": python_version(), **{name: version(name) for name in PACKAGES}}
        corpus = task.corpus
        return cls(
            setting, str(corpus.path.resolve()), corpus.fingerprint, task.agent_names, task.tasks, columns, versions
        )

    def as_json(self) -> dict[str, Any]:
        """The object of its line. InputError: a setting that could not be read again."""
        content = {
            "setting": setting_as_json(self.setting),
            "corpus": {"path": self.corpus, "fingerprint": self.fingerprint},
            "agents": list(self.agents),
            "tasks": list(self.tasks),
            "columns": {name: list(names) for name, names in self.columns.items()},
            "versions": self.versions,
        }
        return {"kind": "config", "hash": content_hash(content), **content}

    @classmethod
    def from_json(cls, value: Any, where: str) -> "ConfigRecord":
        """What `as_json` was of. InputError: a key, a type or the hash is wrong."""
        _CHECK(value, where)
        content = {key: item for key, item in value.items() if key not in ("kind", "hash")}
        if content_hash(content) != value["hash"]:
            raise InputError(f"{where} does not have the hash that it names: it was changed, restore it")
        return cls(
            setting_from_json(value["setting"], f"{where}.setting"),
            value["corpus"]["path"],
            value["corpus"]["fingerprint"],
            tuple(value["agents"]),
            tuple(value["tasks"]),
            {name: tuple(names) for name, names in value["columns"].items()},
            value["versions"],
        )


def content_hash(content: dict[str, Any]) -> str:
    """SHA-256 of the canonical JSON (sorted keys, no spaces) of a config line without its kind and hash."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
