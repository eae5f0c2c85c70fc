"""What the command line makes of errors: one line and an exit code."""

import errno
import sys
import warnings

import pytest

from pretraingym.experiments import __main__ as command_line
from pretraingym.experiments import pretrain
from pretraingym.lm.errors import InputError


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
