"""Typed values as JSON and back: strict, exact, and told by type hints alone.

A hint is a dataclass, bool, int, float, str, Path, a Literal, `X | None`, a union of plain types, a tuple, a
`dict[str, X]`, Any (whatever stands there), or `Annotated[X, check]` (a `Check` in place of that of X) or
`Annotated[NDArray[...], Axes(...)]`. The key of a field is its name without the suffix that says an array's axes.
"""

import json
import math
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from .errors import InputError

T = TypeVar("T")
Check = Callable[[Any, str], None]
Lengths = Mapping[str, int | Mapping[str, int]]
MAX_TEXT = 10_000  # characters of one string
MAX_ITEMS = 65_536  # of one list or mapping: as many categories as a label column can have


@dataclass(frozen=True)
class Axes:
    """The axes of an array, by names whose lengths the reader is given. null: None is read as NaN; each: the check of
    every number (default: by the array's dtype)."""

    names: tuple[str, ...]
    null: bool = False
    each: Check | None = None


def to_json(value: Any) -> Any:
    """A dataclass of what this module reads, as what `json.dumps` takes. Every field is there, and floats are
    themselves."""
    if is_dataclass(value):
        return {_key(field.name): to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value) if isinstance(value, Path) else value


def from_json(kind: type[T], value: Any, where: str, lengths: Lengths = types.MappingProxyType({})) -> T:
    """The `kind` that `to_json` made `value` of. lengths: of the axes of arrays; of an axis that is another for every
    key of a mapping of arrays, by key, and then the mapping has exactly these. InputError: keys too many or too few,
    or a value that is not of its field's type or that the dataclass itself refuses; `where` begins the line."""
    result: T = _read(kind, value, where, lengths)
    return result


def parse_json(data: bytes, where: str, cure: str) -> Any:
    """The value in `data`; NaN, infinities and repeated keys are refused as well as what is not JSON. The error says
    `where` it is and what to do."""
    try:
        return json.loads(data.decode(), parse_constant=_refuse_constant, object_pairs_hook=_refuse_repeats)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not valid JSON ({error}): the file is damaged, {cure}") from None


# -- checks of plain values -------------------------------------------------------------------------------------------


def text_of_at_most(most: int) -> Check:
    def check(value: Any, where: str) -> None:
        _expect(isinstance(value, str) and len(value) <= most, where, value, f"text of at most {most} characters")

    return check


text = text_of_at_most(MAX_TEXT)


def number(value: Any, where: str) -> None:
    real = isinstance(value, int | float) and not isinstance(value, bool)
    _expect(real and abs(value) < 1e300 and math.isfinite(value), where, value, "a finite number")


def whole(value: Any, where: str) -> None:
    right = isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    _expect(right, where, value, "a whole number of at most 64 bits")


def natural(value: Any, where: str) -> None:
    whole(value, where)
    _expect(value >= 0, where, value, "a whole number from 0 up")


def flag(value: Any, where: str) -> None:
    _expect(isinstance(value, bool), where, value, "true or false")


def one_of(*choices: str | int) -> Check:
    def check(value: Any, where: str) -> None:
        same = [choice for choice in choices if type(choice) is type(value) and choice == value]
        _expect(bool(same), where, value, " or ".join(map(repr, choices)))

    return check


def items(value: Any, where: str, count: int | None = None) -> None:
    """A list, of `count` values if it is given."""
    right = isinstance(value, list) and len(value) <= MAX_ITEMS and count in (None, len(value))
    _expect(right, where, value, "a list" if count is None else f"a list of {count}")


def mapping(value: Any, where: str) -> None:
    """An object with any keys."""
    _expect(isinstance(value, dict) and len(value) <= MAX_ITEMS, where, value, "an object")


def exact_keys(value: Any, names: list[str], where: str) -> None:
    """An object with exactly these keys."""
    mapping(value, where)
    for key in value:
        if key not in names:
            raise InputError(f"{where} has the unknown key '{key}', expected {', '.join(names)}")
    for key in names:
        if key not in value:
            raise InputError(f"{where} lacks the key '{key}', expected {', '.join(names)}")


def keys_of(kind: Callable[..., Any]) -> list[str]:
    """The keys of a dataclass in JSON."""
    return [_key(field.name) for field in fields(kind)]  # type: ignore[arg-type]


Natural = Annotated[int, natural]
PLAIN: dict[Any, Check] = {bool: flag, int: whole, float: number, str: text}

# ---------------------------------------------------------------------------------------------------------------------


def _read(hint: Any, value: Any, where: str, lengths: Lengths) -> Any:
    if isinstance(hint, type) and is_dataclass(hint):
        return _read_dataclass(hint, value, where, lengths)
    if hint is Any:
        return value
    if hint in PLAIN:
        PLAIN[hint](value, where)
        return hint(value)
    if hint is Path:
        return Path(_read(str, value, where, lengths))
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _read_annotated(inner[0], inner[1], value, where, lengths)
    if origin is Literal:
        one_of(*inner)(value, where)
        return value
    if origin in (Union, types.UnionType):
        return _read_union(inner, value, where, lengths)
    if origin is tuple:
        many = inner[1] is Ellipsis
        items(value, where, None if many else len(inner))
        kinds = inner[:1] * len(value) if many else inner
        pairs = enumerate(zip(kinds, value, strict=True))
        return tuple(_read(kind, item, f"{where}[{place}]", lengths) for place, (kind, item) in pairs)
    if origin is dict:
        return _read_mapping(inner[1], value, where, lengths)
    raise TypeError(f"{where}: a field of type {hint} cannot be read from JSON")


@cache
def _typed_fields(kind: Callable[..., Any]) -> list[tuple[str, str, Any]]:
    """Name, key and type of each field of a dataclass."""
    hints = get_type_hints(kind, include_extras=True)
    return [(field.name, _key(field.name), hints[field.name]) for field in fields(kind)]  # type: ignore[arg-type]


def _read_dataclass(kind: Callable[..., Any], value: Any, where: str, lengths: Lengths) -> Any:
    exact_keys(value, keys_of(kind), where)
    given = {name: _read(hint, value[key], f"{where}.{key}", lengths) for name, key, hint in _typed_fields(kind)}
    try:
        return kind(**given)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _read_annotated(kind: Any, note: Axes | Check, value: Any, where: str, lengths: Lengths) -> Any:
    if not isinstance(note, Axes):
        note(value, where)
        return kind(value)
    (dtype,) = get_args(get_args(kind)[1])
    check = note.each or (whole if issubclass(dtype, np.integer) else number)
    shape: tuple[Any, ...] = tuple(lengths[name] for name in note.names)

    def read(value: Any, shape: tuple[int, ...], where: str) -> Any:
        if shape:
            items(value, where, shape[0])
            return [read(item, shape[1:], f"{where}[{place}]") for place, item in enumerate(value)]
        if value is None and note.null:
            return math.nan
        check(value, where)
        return value

    return np.array(read(value, shape, where), dtype).reshape(shape)


def _read_union(kinds: tuple[Any, ...], value: Any, where: str, lengths: Lengths) -> Any:
    """A value of one kind or None, or of one of several plain types, which JSON tells apart."""
    if value is None and type(None) in kinds:
        return None
    known = [kind for kind in kinds if kind is not type(None)]
    if len(known) == 1:
        return _read(known[0], value, where, lengths)
    _expect(type(value) in known, where, value, " or ".join(kind.__name__ for kind in known))
    return _read(type(value), value, where, lengths)


def _read_mapping(kind: Any, value: Any, where: str, lengths: Lengths) -> Any:
    axes = [note.names for note in get_args(kind)[1:] if isinstance(note, Axes)]
    by_key = {name: lengths[name] for names in axes for name in names if isinstance(lengths[name], Mapping)}
    mapping(value, where)
    for each in by_key.values():
        exact_keys(value, list(each), where)  # type: ignore[arg-type]
    read = {}
    for key, item in value.items():
        own = {name: each[key] for name, each in by_key.items()}  # type: ignore[index]
        read[key] = _read(kind, item, f"{where}.{key}", {**lengths, **own})
    return read


def _key(name: str) -> str:
    return re.sub(r"_[A-Z]+$", "", name)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number JSON allows")


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key appears twice")
    return result


def _expect(right: bool, where: str, value: Any, expected: str) -> None:
    if not right:
        raise InputError(f"{where} is {repr(value)[:80]}, expected {expected}")
