"""The flags of a command, and the line for those that are unknown, or whose values are missing or wrong."""

import re
import types
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import tyro

from ...lm.io.files import guess
from .table import PROGRAM

VALUES = {int: "a whole number", float: "a number", bool: "no value", str: "a text", Path: "a path"}


def flags(kind: Any, prefix: str = "--") -> Iterator[tuple[str, Any]]:
    """Each flag of a configuration and the type of its value, as in --target.optimizer.muon-lr, float."""
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        hint, flag = hints[field.name], prefix + field.name.replace("_", "-")
        if get_origin(hint) is Annotated and _is_positional(hint):
            continue
        if is_dataclass(hint):
            yield from flags(hint, f"{flag}.")
        else:
            yield flag, hint


def refusal(name: str, kind: type, rest: Sequence[str], said: str) -> str:
    """Why tyro refused these words, in one line. said: its own page."""
    known, more = dict(flags(kind)), f"; {PROGRAM} {name} --help tells all"
    used = [word.partition("=")[0].replace("_", "-") for word in rest if word.startswith("--")]
    spelled = set(known) | {_negated(flag) for flag, hint in known.items() if hint is bool}
    for flag in used:
        if flag not in spelled:
            close = guess(flag, spelled) or "none is like it: "
            return f"unknown flag {flag} of {name}; {close}{PROGRAM} {name} --help tells all"
    text = " ".join(re.sub("[─-╿]|-{9,}", " ", said).split())
    if stray := re.search(r"Unrecognized options: (\S+)", text):
        return f"{name} cannot use the word '{stray[1].rstrip(',')}': a value stands behind its flag{more}"
    required = [field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING]
    if "Missing from" in text:
        missing = [word for word in required if f"--{word}" not in used]
        shown = [f"--{word}" if f"--{word}" in known else word.upper() for word in missing]
        return f"{name} needs {' and '.join(shown)}{more}"
    if (found := re.search(r"--[a-z][\w.-]*", text)) and (flag := found[0].rstrip(".")) in known:
        values = _values(flag, rest)
        given = f"is {values!r}" if values else "has no value"
        return f"{flag} {given}, expected {_expected(known[flag])}{more}"
    return f"{text}{more}"


def _values(flag: str, rest: Sequence[str]) -> str:
    """The words behind `flag`."""
    words = iter([part for word in rest for part in (word.split("=", 1) if word.startswith("--") else [word])])
    for word in words:
        if word.replace("_", "-") == flag:
            break
    values = []
    for word in words:
        if word.startswith("--"):
            break
        values.append(word)
    return " ".join(values)


def _expected(hint: Any) -> str:
    """What a flag of that type takes, in words."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _expected(inner[0])
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin in (Union, types.UnionType):
        return " or ".join("None" if kind is types.NoneType else _expected(kind) for kind in inner)
    if origin is dict:
        return f"pairs of a name and {_expected(inner[1])}, as in NAME VALUE NAME VALUE"
    if origin in (tuple, list):
        return f"any number of values, each {_expected(inner[0])}"
    return VALUES[hint]


def _negated(flag: str) -> str:
    """--engine.compile is switched off by --engine.no-compile."""
    head, dot, last = flag.rpartition(".")
    return f"{head}.no-{last}" if dot else f"--no-{flag.removeprefix('--')}"


def _is_positional(hint: Any) -> bool:
    return bool(set(get_args(tyro.conf.Positional[int])[1:]) & set(get_args(hint)[1:]))
