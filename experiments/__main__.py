"""The command line: pretraingym COMMAND. The last line on standard output is one JSON object."""

import errno
import json
import os
import signal
import sys
import warnings
from typing import Any, TextIO

from ..lm.io.errors import InputError
from .command_line.parsing import parse

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
