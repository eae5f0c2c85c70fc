"""The flags that the command line knows are those that its parser takes."""

import re

import pytest

from pretraingym.experiments.command_line.flags import flags
from pretraingym.experiments.command_line.parsing import parse
from pretraingym.experiments.command_line.table import COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_they_are_those_of_the_help(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        parse([*name.split(), "--help"])
    out = capsys.readouterr().out
    shown = re.findall(r"^[│ ]+(--[a-z][\w.-]*)[ ,]", out, re.MULTILINE)
    assert {flag for flag, _ in flags(COMMANDS[name].load()[0])} == set(shown), out
