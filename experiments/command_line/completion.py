"""The script by which a shell completes commands and flags."""

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Annotated, Any

import tyro

from ...lm.io.errors import InputError
from .table import COMMANDS, PROGRAM

SHELLS = ("bash", "zsh", "fish")


def print_completion(words: Sequence[str]) -> None:
    """Print the script for the shell that `words` name. InputError: they name none."""
    if len(words) != 1 or words[0] not in SHELLS:
        given = f"for '{' '.join(words)}'" if words else "without a shell"
        raise InputError(f"completion was given {given}, expected one of {', '.join(SHELLS)}")
    groups: dict[str, list[Any]] = {}
    for name, command in COMMANDS.items():
        kind = command.load()[0]
        default = {"default": start()} if (start := next(iter(command.defaults(kind).values()), None)) else {}
        group, _, word = name.rpartition(" ")
        groups.setdefault(group, []).append(Annotated[kind, tyro.conf.subcommand(word, **default)])
    alone = groups.pop("")
    shown = Annotated[None, tyro.conf.subcommand("help")]  # which a group takes too; of one command there is no union
    named = [Annotated[reduce(or_, kinds, shown), tyro.conf.subcommand(group)] for group, kinds in groups.items()]
    tyro.cli(reduce(or_, [*alone, *named]), prog=PROGRAM, args=["--tyro-print-completion", words[0]])
