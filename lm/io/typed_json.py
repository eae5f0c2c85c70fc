"""Dataclasses as JSON and back: strict, exact, and told by their type hints alone."""

import types
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ..io import json_schema as schema
from .errors import InputError

T = TypeVar("T")
LEAVES: dict[Any, schema.Check] = {bool: schema.flag, int: schema.whole, float: schema.number, str: schema.text}


def to_json(value: Any) -> Any:
    """A frozen dataclass of numbers, texts, paths, None, tuples, dicts by text and more such dataclasses, as what
    `json.dumps` takes. Every field is there, and floats are themselves."""
    if is_dataclass(value):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {name: to_json(item) for name, item in value.items()}
    return str(value) if isinstance(value, Path) else value


def from_json(kind: type[T], value: Any, where: str) -> T:
    """The `kind` that `to_json` made `value` of. InputError: keys too many or too few, or a value that is not of its
    field's type or that the dataclass itself refuses; `where` begins the line."""
    result: T = _read(kind, value, where)
    return result


def _read(hint: Any, value: Any, where: str) -> Any:
    if isinstance(hint, type) and is_dataclass(hint):
        return _read_dataclass(hint, value, where)
    if hint in LEAVES:
        LEAVES[hint](value, where)
        return hint(value)
    if hint is Path:
        schema.text(value, where)
        return Path(value)
    inner = get_args(hint)
    if get_origin(hint) is Literal:
        schema.one_of(*inner)(value, where)
        return value
    if get_origin(hint) in (Union, types.UnionType):
        (kind,) = (each for each in inner if each is not type(None))  # X | None is the only union that is known
        return None if value is None else _read(kind, value, where)
    if get_origin(hint) is tuple:
        many = inner[1] is Ellipsis
        schema.items(schema.anything, None if many else len(inner))(value, where)
        kinds = inner[:1] * len(value) if many else inner
        return tuple(
            _read(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(zip(kinds, value, strict=True))
        )
    if get_origin(hint) is dict:
        schema.mapping(schema.anything)(value, where)
        return {name: _read(inner[1], item, f"{where}.{name}") for name, item in value.items()}
    raise TypeError(f"{where}: a field of type {hint} cannot be read from JSON")


def _read_dataclass(kind: Callable[..., Any], value: Any, where: str) -> Any:
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    schema.record(dict.fromkeys(names, schema.anything))(value, where)
    given = {name: _read(hints[name], value[name], f"{where}.{name}") for name in names}
    try:
        return kind(**given)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
