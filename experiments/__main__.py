"""The command line: pretraingym COMMAND. The last line on standard output is one JSON object."""

import errno
import json
import sys
from collections.abc import Callable
from typing import Any

from ..lm.errors import InputError

FILE_ERRORS = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the disk quota is used up: free some space",
    errno.EROFS: "the folder is on a read-only file system: name another --folder",
    errno.EACCES: "permission denied: name a folder you may write to",
}


def main() -> None:
    """Run one command. Exit codes: 0 done, 2 the input cannot be used (one line says why), 130 interrupted."""
    import tyro

    from . import pretrain, quickstart, train_console

    commands: dict[str, tuple[type, Callable[[Any], dict[str, Any]]]] = {
        "quickstart": (quickstart.QuickstartConfig, quickstart.main),
        "train-console": (train_console.TrainConsoleConfig, train_console.main),
        "pretrain": (pretrain.PretrainConfig, pretrain.main),
    }
    try:
        config = tyro.extras.subcommand_cli_from_dict(
            {name: config for name, (config, _) in commands.items()},
            prog="pretraingym",
            description="Learn which data to pretrain on next, on small models; then let it drive a large one.",
        )
        run = next(run for kind, run in commands.values() if isinstance(config, kind))
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


def _fail(message: str) -> int:
    print(f"pretraingym: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
