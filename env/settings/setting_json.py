"""Settings as JSON, with the name of their type, and back."""

from typing import Any

from ...lm.io.errors import InputError
from ...lm.io.typed_json import from_json, mapping, one_of, to_json
from .setting import EpisodeSetting, Setting
from .surrogate_setting import SurrogateSetting
from .toy_setting import ToySetting

KNOWN: dict[str, type[Any]] = {kind.__name__: kind for kind in (Setting, SurrogateSetting, ToySetting)}


def setting_as_json(setting: EpisodeSetting) -> dict[str, Any]:
    """All fields, and `type`. InputError: a setting of another type, which could not be read again."""
    name = type(setting).__name__
    if KNOWN.get(name) is not type(setting):
        raise InputError(f"records hold settings of type {' or '.join(KNOWN)}, this is {name}: leave out `records`")
    return {"type": name, **to_json(setting)}


def setting_from_json(value: Any, where: str) -> Any:
    """The `Setting` or `SurrogateSetting` that `setting_as_json` was given. InputError: no such type, or fields that
    are wrong."""
    mapping(value, where)
    one_of(*KNOWN)(value.get("type"), f"{where}.type")
    fields = {key: item for key, item in value.items() if key != "type"}
    return from_json(KNOWN[value["type"]], fields, where)
