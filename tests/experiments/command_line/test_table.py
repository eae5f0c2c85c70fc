"""The table of commands is complete."""

from pretraingym.experiments.command_line.table import COMMANDS


def test_every_command_says_what_it_does() -> None:
    assert {name for name, command in COMMANDS.items() if not command.load()[0].__doc__} == set()
    for name, command in COMMANDS.items():
        doc = " ".join(str(command.load()[0].__doc__).split())
        assert doc.startswith(command.about()), name
        assert len(command.about()) > 20
