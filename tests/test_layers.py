"""The four folders' sources, checked against the rules of the house: layers, file sizes, doctests."""

import ast
import doctest
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("lm", "env", "policies", "experiments")  # each may import itself and those before it
SOURCES = sorted(path.relative_to(ROOT).as_posix() for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))
MAX_LINES = 300


def imported_layers(source: str) -> Iterator[str]:
    """The layers that a file imports, relative imports resolved against the file's own package."""
    package = ["pretraingym", *source.split("/")[:-1]]
    for node in ast.walk(ast.parse((ROOT / source).read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            module = [*base, *(node.module.split(".") if node.module else [])]
            names = [".".join([*module, alias.name]) for alias in node.names]
        else:
            continue
        for name in names:
            if name.startswith("pretraingym."):
                yield name.split(".")[1]


@pytest.mark.parametrize("source", SOURCES)
def test_imports_run_one_way(source: str) -> None:
    allowed = LAYERS[: LAYERS.index(source.split("/")[0]) + 1]
    offenders = sorted(set(imported_layers(source)) - set(allowed))
    assert not offenders, f"{source} imports {offenders}; it may import {allowed}"


def test_no_file_is_too_long() -> None:
    paths = [ROOT / source for source in SOURCES] + list((ROOT / "tests").rglob("*.py"))
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in paths}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_LINES} == {}


def modules() -> Iterator[str]:
    """Import names of all modules, but not of `__main__`, whose import starts the program."""
    for layer in LAYERS:
        name = f"pretraingym.{layer}"
        yield name
        for found in pkgutil.walk_packages(importlib.import_module(name).__path__, f"{name}."):
            if not found.name.endswith("__main__"):
                yield found.name


# By import name: `pytest --doctest-modules env` names modules by path, which fails with relative imports.
def test_doctests() -> None:
    failed = {name: doctest.testmod(importlib.import_module(name)).failed for name in modules()}
    assert {name: count for name, count in failed.items() if count} == {}
