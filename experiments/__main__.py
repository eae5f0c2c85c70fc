"""The command line: pretraingym COMMAND. The last line on standard output is one JSON object."""

import argparse
import errno
import json
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import reduce
from operator import or_
from typing import Annotated, Any, TextIO

from ..lm.errors import InputError

FILE_ERRORS = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the disk quota is used up: free some space",
    errno.EROFS: "the folder is on a read-only file system: name another --folder",
    errno.ENOTDIR: "a file is in the way: name another --folder",
    errno.EEXIST: "a file is in the way: name another --folder",
    errno.EACCES: "permission denied: name a folder you may write to",
}


def main() -> None:
    """Run one command. Exit codes: 0 done, 2 the input cannot be used (one line says why), 130 interrupted."""
    warnings.showwarning = _warn
    try:
        run, config = parse(sys.argv[1:])
        print(json.dumps(run(config)))
    except InputError as error:
        sys.exit(_fail(str(error)))
    except OSError as error:
        if error.errno not in FILE_ERRORS:
            raise
        sys.exit(_fail(f"{error.filename or 'writing failed'}: {FILE_ERRORS[error.errno]}, then add --resume"))
    except KeyboardInterrupt:
        print("pretraingym: interrupted; the same command with --resume goes on from here", file=sys.stderr)
        sys.exit(130)


def parse(arguments: Sequence[str]) -> tuple[Callable[[Any], dict[str, Any]], Any]:
    """(what to run, its configuration): the fields of the preset that is named, changed by the other flags."""
    import tyro

    from . import pretrain, quickstart, train_console
    from .presets import PRESETS

    commands: dict[type, tuple[str, Callable[[Any], dict[str, Any]]]] = {
        quickstart.QuickstartConfig: ("quickstart", quickstart.main),
        train_console.TrainConsoleConfig: ("train-console", train_console.main),
        pretrain.PretrainConfig: ("pretrain", pretrain.main),
    }
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset", default="quick")
    preset = first.parse_known_args(arguments)[0].preset
    kinds = []
    for kind, (name, _) in commands.items():
        presets = PRESETS.get(kind, {"quick": kind})
        start = presets.get(preset, presets["quick"])()  # tyro refuses an unknown name, and lists the known ones
        kinds.append(Annotated[kind, tyro.conf.subcommand(name, default=start)])
    any_command: Any = reduce(or_, kinds)
    config = tyro.cli(
        any_command,
        args=arguments,
        prog="pretraingym",
        description="Learn which data to pretrain on next, on small models; then let it drive a large one.",
    )
    return commands[type(config)][1], config


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning as one line for people, in place of Python's two with the place in the code."""
    print(f"pretraingym: warning: {message}", file=sys.stderr)


def _fail(message: str) -> int:
    print(f"pretraingym: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
