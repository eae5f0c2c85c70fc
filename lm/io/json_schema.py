"""Strict reading of JSON: exactly the keys and types that are expected, or one clear line."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InputError

Check = Callable[[Any, str], None]
MAX_TEXT = 10_000  # characters of one string
MAX_ITEMS = 65_536  # of one list or mapping: as many categories as a label column can have


def parse_json(data: bytes, where: str, cure: str) -> Any:
    """The value in `data`; NaN, infinities and repeated keys are refused as well as what is not JSON. The error says
    `where` it is and what to do."""
    try:
        return json.loads(data.decode(), parse_constant=_refuse_constant, object_pairs_hook=_refuse_repeats)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not valid JSON ({error}): the file is damaged, {cure}") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number JSON allows")


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key appears twice")
    return result


def text(value: Any, where: str) -> None:
    _expect(isinstance(value, str) and len(value) <= MAX_TEXT, where, value, f"text of at most {MAX_TEXT} characters")


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


def anything(value: Any, where: str) -> None:
    """What someone else checks."""


def cell(value: Any, where: str) -> None:
    """What a table's cell may hold."""
    if value is not None and not isinstance(value, bool):
        (text if isinstance(value, str) else number)(value, where)


def one_of(*choices: str | int) -> Check:
    def check(value: Any, where: str) -> None:
        same = [choice for choice in choices if type(choice) is type(value) and choice == value]
        _expect(bool(same), where, value, " or ".join(map(repr, choices)))

    return check


def items(check: Check, count: int | None = None) -> Check:
    """A list of values that each pass `check`, `count` of them if it is given."""

    def check_list(value: Any, where: str) -> None:
        right = isinstance(value, list) and len(value) <= MAX_ITEMS and count in (None, len(value))
        _expect(right, where, value, "a list" if count is None else f"a list of {count}")
        for index, item in enumerate(value):
            check(item, f"{where}[{index}]")

    return check_list


def floats(value: Any, shape: tuple[int, ...], where: str, null: bool = False) -> NDArray[np.float64]:
    """The array of nested lists of finite numbers of exactly that shape; null, where it is allowed, is NaN."""

    def read(value: Any, shape: tuple[int, ...], where: str) -> Any:
        if shape:
            items(anything, shape[0])(value, where)
            return [read(item, shape[1:], f"{where}[{index}]") for index, item in enumerate(value)]
        if value is None and null:
            return math.nan
        number(value, where)
        return value

    return np.array(read(value, shape, where), np.float64).reshape(shape)


def mapping(check: Check) -> Check:
    """An object with any keys whose values each pass `check`."""

    def check_mapping(value: Any, where: str) -> None:
        _expect(isinstance(value, dict) and len(value) <= MAX_ITEMS, where, value, "an object")
        for key, item in value.items():
            check(item, f"{where}.{key}")

    return check_mapping


def record(fields: dict[str, Check]) -> Check:
    """An object with exactly these keys."""

    def check_record(value: Any, where: str) -> None:
        _expect(isinstance(value, dict), where, value, "an object")
        for key in value:
            if key not in fields:
                raise InputError(f"{where} has the unknown key '{key}', expected {', '.join(fields)}")
        for key, check in fields.items():
            if key not in value:
                raise InputError(f"{where} lacks the key '{key}', expected {', '.join(fields)}")
            check(value[key], f"{where}.{key}")

    return check_record


def _expect(right: bool, where: str, value: Any, expected: str) -> None:
    if not right:
        raise InputError(f"{where} is {repr(value)[:80]}, expected {expected}")
