"""Settings as JSON, each under its type's name, and back."""

from typing import Any

from ..lm.errors import InputError
from . import json_schema as schema
from .setting import EpisodeSetting, Setting
from .typed_json import from_json, to_json


def _known() -> dict[str, type[Any]]:
    from .surrogate import SurrogateSetting  # here, because its module imports the environments, which record

    return {kind.__name__: kind for kind in (Setting, SurrogateSetting)}


def setting_as_json(setting: EpisodeSetting) -> dict[str, Any]:
    """All fields and `type`. InputError: a setting of a type that could not be read again."""
    name = type(setting).__name__
    if _known().get(name) is not type(setting):
        raise InputError(f"records hold settings of type {' or '.join(_known())}, this is {name}: leave out `records`")
    return {"type": name, **to_json(setting)}


def setting_from_json(value: Any, where: str) -> Any:
    """The `Setting` or `SurrogateSetting` that `setting_as_json` was given. InputError: no such type, or fields that
    are wrong."""
    schema.mapping(schema.anything)(value, where)
    known = _known()
    schema.one_of(*known)(value.get("type"), f"{where}.type")
    fields = {key: item for key, item in value.items() if key != "type"}
    return from_json(known[value["type"]], fields, where)
