"""From words to the function to run and its configuration."""

import argparse
import io
from collections.abc import Sequence
from contextlib import redirect_stderr
from importlib.metadata import version
from shutil import get_terminal_size
from textwrap import fill
from typing import Any, NoReturn

import tyro

from ...lm.io.errors import InputError
from ...lm.io.files import guess, nearest
from .completion import SHELLS, print_completion
from .flags import refusal
from .table import COMMANDS, PROGRAM, Command, Run

ABOUT = "Learn which data to pretrain on next, on small models; then let it drive a large one."
HELP, VERSION, COMPLETION = ("-h", "--help", "help"), ("-V", "--version"), "completion"


def parse(arguments: Sequence[str]) -> tuple[Run, Any]:
    """(function to run, its configuration): the named preset with the fields that other flags change. Help, version and
    completion are printed, and SystemExit(0) raised. InputError: a word or flag is not known, a value is missing or of
    the wrong kind."""
    first = arguments[0] if arguments else ""
    if first in HELP:
        _print_overview(COMMANDS)
    if first in VERSION:
        print(f"{PROGRAM} {version(PROGRAM)}")
        raise SystemExit(0)
    if first == COMPLETION:
        print_completion(arguments[1:])
    name, rest = _named(arguments)
    kind, run = COMMANDS[name].load()
    return run, _config(name, kind, rest)


def _named(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """The command that the first words name, and the words after it."""
    known = f"; {PROGRAM} --help tells what each does"
    if not arguments:
        raise InputError(f"no command was given, expected one of {', '.join(COMMANDS)}{known}")
    first, *rest = (arguments[0].replace("_", "-"), *arguments[1:])
    if first.startswith("-"):
        meant = guess(first, [*HELP, *VERSION])
        said = meant or f"expected {PROGRAM} COMMAND {first} ..."
        raise InputError(f"{first} was given before any command; {said.rstrip()}{known}")
    if first in COMMANDS:
        return first, rest
    group = {name: command for name, command in COMMANDS.items() if name.startswith(f"{first} ")}
    if group and rest and rest[0] in HELP:
        _print_overview(group)
    if group and (not rest or rest[0].startswith("-")):
        raise InputError(f"{first} was given alone, expected what to do: {' or '.join(group)}{known}")
    name = f"{first} {rest[0]}" if group else first
    if name in group:
        return name, rest[1:]
    near = guess(name.lower(), group or COMMANDS)  # without the case, which PRETRAIN has another of
    raise InputError(f"unknown command '{name}'; {near}known: {', '.join(group or COMMANDS)}")


def _config(name: str, kind: type, rest: Sequence[str]) -> Any:
    """The configuration that those flags give. tyro parses them and prints help; what it refuses is told in one line
    here, since its pages are written for programmers."""
    presets = COMMANDS[name].defaults(kind)
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    finder.add_argument("--preset", nargs="?")
    preset = finder.parse_known_args(rest)[0].preset
    if preset is not None and presets and preset not in presets:
        raise InputError(f"unknown preset '{preset}' of {name}; {nearest(preset, presets)}")
    given: Any = {"default": presets[preset or next(iter(presets))]()} if presets else {}
    with redirect_stderr(io.StringIO()) as said:
        try:
            return tyro.cli(kind, args=rest, prog=f"{PROGRAM} {name}", **given)
        except SystemExit as end:
            if not end.code:
                raise
    raise InputError(refusal(name, kind, rest, said.getvalue()))


def _print_overview(commands: dict[str, Command]) -> NoReturn:
    indent = 4 + max(map(len, commands))
    print(f"usage: {PROGRAM} COMMAND [--flag value ...]\n\n{ABOUT}\n")
    for name, command in commands.items():
        width = min(get_terminal_size().columns, 100)
        print(fill(f"  {name:{indent - 2}}{command.about()}", width, subsequent_indent=" " * indent))
    print(f"\n{PROGRAM} COMMAND --help lists a command's flags, {PROGRAM} --version tells the version,")
    print(f"{PROGRAM} {COMPLETION} {'|'.join(SHELLS)} prints a script by which the shell completes them.")
    raise SystemExit(0)
