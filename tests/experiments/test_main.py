"""What the command line makes of errors: one line and an exit code."""

import errno
import os
import signal
import subprocess
import sys
import warnings

import pytest

from pretraingym.experiments import __main__ as command_line
from pretraingym.experiments.commands import pretrain
from pretraingym.lm.io.errors import InputError


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("bad luck"), 2, "pretraingym: bad luck"),
        (OSError(errno.ENOSPC, "", "x"), 2, "pretraingym: x: the disk is full: free some space, then add --resume"),
        (KeyboardInterrupt(), 130, "pretraingym: interrupted; the same command with --resume goes on from here"),
    ],
)
def test_errors_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, line: str
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main sets its own: put back after the test
    monkeypatch.setattr(pretrain, "main", fail)
    monkeypatch.setattr(sys, "argv", ["pretraingym", "pretrain", "--policy", "natural"])
    with pytest.raises(SystemExit) as exit_:
        command_line.main()
    assert exit_.value.code == code
    out, err = capsys.readouterr()
    assert (out, err.splitlines()) == ("", [line])


def test_help_that_nobody_reads_ends_quietly() -> None:
    command = [sys.executable, "-m", "pretraingym.experiments", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, err = process.communicate()
    assert (process.returncode, err) == (-signal.SIGPIPE, "")


@pytest.mark.parametrize(("user", "spins"), [({}, command_line.SPINS), ({"OMP_WAIT_POLICY": "active"}, None)])
def test_waiting_threads_leave_the_cores_before_torch_is_loaded(user: dict[str, str], spins: str | None) -> None:
    told = "import os, sys; from pretraingym.experiments import __main__ as cli\n"
    told += "cli.parse = lambda _: sys.exit(f\"{os.environ.get('GOMP_SPINCOUNT')} {'torch' in sys.modules}\")\n"
    own = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    command = [sys.executable, "-c", told + "cli.main()"]
    done = subprocess.run(command, capture_output=True, text=True, env=own | user, check=False)
    assert done.stderr == f"{spins} False\n"
