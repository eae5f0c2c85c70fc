"""The command line: pretraingym COMMAND. The last line on standard output is one JSON object."""

import argparse
import errno
import json
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Annotated, Any, TextIO

from ..lm.io.errors import InputError

FILE_ERRORS = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the disk quota is used up: free some space",
    errno.EROFS: "the folder is on a read-only file system: name another --folder",
    errno.ENOTDIR: "a file is in the way: name another --folder",
    errno.EISDIR: "a folder is in the way: name a file",
    errno.EEXIST: "a file is in the way: name another --folder",
    errno.EACCES: "permission denied: name a folder you may write to",
}


RANK = int(os.environ.get("RANK", "0"))  # of this process among those that a launcher started
# How often an OpenMP thread looks for work before it sleeps; libgomp's default is 300,000 times. Measured on two cores
# with a target of 0.6 million parameters: 22,000 tokens/s on idle cores either way, 8,000 instead of 530 to 5,700 on
# busy ones.
SPINS = "1000"

Commands = dict[type, tuple[str, Callable[[Any], dict[str, Any]]]]
Presets = dict[type, dict[str, Callable[[], object]]]


class CorpusHelp:
    """Build a corpus of your own text, add labels to one, or show what is in one."""


@dataclass(frozen=True)
class SurrogateHelp:
    """Fit a surrogate to the episodes that a run recorded: surrogate fit RUN."""


def main() -> None:
    """Run one command. Exit codes: 0 done, 1 a replayed episode differs from its record, 2 the input cannot be used
    (one line says why), 130 interrupted."""
    warnings.showwarning = _warn
    config: Any = None
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)  # read once, when torch is loaded
    try:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # so that --help | head ends quietly
        run, config = parse(sys.argv[1:])
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # Python's default: a run goes on when its reader ends
        result = run(config)
        if RANK == 0:
            print(json.dumps(result))
        if result.get("mismatches"):
            sys.exit(1)
    except InputError as error:
        sys.exit(_fail(str(error)))
    except OSError as error:
        if error.errno not in FILE_ERRORS:
            raise
        then = ", then add --resume" if hasattr(config, "resume") else ""
        sys.exit(_fail(f"{error.filename or 'writing failed'}: {FILE_ERRORS[error.errno]}{then}"))
    except KeyboardInterrupt:
        then = "; the same command with --resume goes on from here" if hasattr(config, "resume") else ""
        print(f"pretraingym: interrupted{then}", file=sys.stderr)
        sys.exit(130)


def parse(arguments: Sequence[str]) -> tuple[Callable[[Any], dict[str, Any]], Any]:
    """(function to run, its configuration): the named preset with the fields that other flags change."""
    if arguments[:1] == ["corpus"]:
        return _parse_corpus(arguments[1:])
    if arguments[:2] == ["surrogate", "fit"]:
        return _parse_fit(arguments[2:])
    from .commands import compare, evaluate, export, pretrain, quickstart, replay, train_console, transfer
    from .commands.presets import PRESETS

    description = "Learn which data to pretrain on next, on small models; then let it drive a large one."
    commands: Commands = {
        quickstart.QuickstartConfig: ("quickstart", quickstart.main),
        train_console.TrainConsoleConfig: ("train-console", train_console.main),
        pretrain.PretrainConfig: ("pretrain", pretrain.main),
        compare.CompareConfig: ("compare", compare.main),
        transfer.TransferConfig: ("transfer", transfer.main),
        replay.ReplayConfig: ("replay", replay.main),
        export.ExportConfig: ("export", export.main),
        evaluate.EvaluateConfig: ("evaluate", evaluate.main),
        CorpusHelp: ("corpus", lambda _: {}),
        SurrogateHelp: ("surrogate", _surrogate_alone),
    }
    config = _config(commands, PRESETS, arguments, "pretraingym", description)
    return commands[type(config)][1], config


def _parse_corpus(arguments: Sequence[str]) -> tuple[Callable[[Any], dict[str, Any]], Any]:
    """Parsed apart from the other commands, which import torch: a corpus is built without it, in less memory."""
    from .corpus_commands import build as corpus_build
    from .corpus_commands import label as corpus_label
    from .corpus_commands.presets import CORPUS_PRESETS

    commands: Commands = {
        corpus_build.BuildConfig: ("build", corpus_build.main),
        corpus_label.LabelConfig: ("label", corpus_label.label),
        corpus_label.CardConfig: ("card", corpus_label.card),
    }
    config = _config(commands, CORPUS_PRESETS, arguments, "pretraingym corpus", str(CorpusHelp.__doc__))
    return commands[type(config)][1], config


def _parse_fit(arguments: Sequence[str]) -> tuple[Callable[[Any], dict[str, Any]], Any]:
    import tyro

    from .commands import surrogate_fit

    kind = surrogate_fit.SurrogateFitConfig
    return surrogate_fit.main, tyro.cli(
        kind, args=arguments, prog="pretraingym surrogate fit", description=kind.__doc__
    )


def _surrogate_alone(_: SurrogateHelp) -> dict[str, Any]:
    raise InputError("surrogate was given alone, expected what to do: surrogate fit RUN")


def _config(commands: Commands, presets: Presets, arguments: Sequence[str], prog: str, description: str) -> Any:
    import tyro

    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset")
    named = first.parse_known_args(arguments)[0].preset
    kinds = []
    for kind, (name, _) in commands.items():
        known = presets.get(kind, {})
        # tyro refuses an unknown name, and lists the known ones
        start = known.get(named, next(iter(known.values()), None))
        annotation = tyro.conf.subcommand(name, default=start()) if start else tyro.conf.subcommand(name)
        kinds.append(Annotated[kind, annotation])
    any_command: Any = reduce(or_, kinds)
    return tyro.cli(any_command, args=arguments, prog=prog, description=description)


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning as one line, without the place in the code that Python adds."""
    print(f"{_prefix()}: warning: {message}", file=sys.stderr)


def _fail(message: str) -> int:
    print(f"{_prefix()}: {message}", file=sys.stderr)
    return 2


def _prefix() -> str:
    return f"pretraingym (rank {RANK})" if RANK else "pretraingym"


if __name__ == "__main__":
    main()
