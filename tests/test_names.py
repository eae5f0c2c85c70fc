"""The names of arrays against the one legend of axes, in CONTRIBUTING.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEGEND = dict(re.findall(r"^\| ([A-Z]) \| (.+) \|$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE))
SUFFIX = re.compile(r"[a-z0-9]_([A-Z0-9]*[A-Z][A-Z0-9]*)$")
LAYERS = ("env", "lm", "policies", "experiments", "tests")


def names(path: Path) -> Iterator[str]:
    """Every name that a file's code gives or uses: variables, arguments, attributes, keywords, functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                yield name
            case ast.FunctionDef(name=name):
                yield name


def test_the_legend_is_short_and_each_letter_has_one_meaning() -> None:
    assert 1 <= len(LEGEND) <= 12
    assert len(set(LEGEND.values())) == len(LEGEND)


@pytest.mark.parametrize("layer", LAYERS)
def test_suffixes_are_of_the_legend(layer: str) -> None:
    strange: dict[str, set[str]] = {}
    for path in sorted((ROOT / layer).rglob("*.py")):
        for name in names(path):
            found = SUFFIX.search(name)
            if found and not set(found[1]) <= LEGEND.keys():
                strange.setdefault(path.relative_to(ROOT).as_posix(), set()).add(name)
    assert strange == {}, "axes that CONTRIBUTING.md does not name"
