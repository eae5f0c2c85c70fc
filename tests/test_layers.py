"""The four folders' sources, checked against the rules of the house: floors, rooms, doctests.

A floor may import itself and what stands below it, never what stands above: so there is no circle of packages.
"""

import ast
import doctest
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# The house from the ground up: folders, and in each folder its packages and the modules that stand beside them.
FLOORS: dict[str, tuple[str, ...]] = {
    "lm": (
        "io", "cores", "device", "precision", "keyed_random", "corpus", "records", "ingest", "backend", "models",
        "proxies", "target", "surrogate",
    ),
    "env": (
        "cells", "text", "agents", "scenarios", "console", "observation", "random_streams", "stopwatch",
        "episode_config", "measuring", "episode", "resumption", "settings", "recording", "gym_envs", "datasets",
        "checks",
    ),
    "policies": (
        "base", "baselines", "actors", "saved", "sb3", "learners", "registry", "named", "trials",
        "console_callback", "onnx_export",
    ),
    "experiments": (
        "progress", "analysis", "mixtures", "evaluation", "runs", "reports", "corpus_commands", "commands",
        "benchmarks", "examples", "compat", "command_line", "__main__", "package_root",
    ),
}  # fmt: skip
LAYERS = tuple(FLOORS)
SIBLINGS = {"env/agents", "policies/learners", "experiments/commands", "experiments/benchmarks", "experiments/examples"}
TOP = "experiments/package_root"  # pretraingym itself: no room
SOURCES = sorted(path.relative_to(ROOT).as_posix() for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))
MAX_LINES = 400


def imports(source: str) -> Iterator[list[str]]:
    """What a file imports of this project, as parts of a name below `pretraingym`, also inside functions."""
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
                yield name.split(".")[1:]


@pytest.mark.parametrize("source", SOURCES)
def test_imports_run_one_way(source: str) -> None:
    layer, *rest = source.split("/")
    own = rest[0].removesuffix(".py")
    floors = FLOORS[layer]

    def above(target: list[str]) -> bool:
        if target[0] != layer or own == "__init__" or target[1] not in floors:
            return LAYERS.index(target[0]) > LAYERS.index(layer)
        return floors.index(target[1]) > floors.index(own)

    offenders = {".".join(target) for target in imports(source) if above(target)}
    assert not offenders, f"{source} imports {sorted(offenders)}, which stand above it: see FLOORS"


@pytest.mark.parametrize("layer", LAYERS)
def test_every_room_has_a_floor(layer: str) -> None:
    inside = {path.stem for path in (ROOT / layer).iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert inside - {"__init__"} == set(FLOORS[layer])


def test_rooms_have_four_to_nine_modules() -> None:
    rooms = {path.parent for layer in LAYERS for path in (ROOT / layer).glob("*/__init__.py")}
    count = {room.relative_to(ROOT).as_posix(): len(list(room.glob("*.py"))) - 1 for room in rooms}
    assert {
        room: number for room, number in count.items() if room not in {*SIBLINGS, TOP} and not 4 <= number <= 9
    } == {}


def test_no_file_outgrows_its_room() -> None:
    lengths = {source: len((ROOT / source).read_text().splitlines()) for source in SOURCES}
    assert {source: lines for source, lines in lengths.items() if lines > MAX_LINES} == {}


def modules() -> Iterator[str]:
    """Import names of all modules, but not of `__main__` and the scripts of `make compat`, whose import starts them."""
    yield "pretraingym"
    for layer in LAYERS:
        name = f"pretraingym.{layer}"
        yield name
        for found in pkgutil.walk_packages(importlib.import_module(name).__path__, f"{name}."):
            if not re.search(r"__main__$|\.experiments\.(package_root|compat\.clients)", found.name):
                yield found.name


# By import name: `pytest --doctest-modules env` names modules by path, which fails with relative imports.
def test_doctests() -> None:
    failed = {name: doctest.testmod(importlib.import_module(name)).failed for name in modules()}
    assert {name: count for name, count in failed.items() if count} == {}
