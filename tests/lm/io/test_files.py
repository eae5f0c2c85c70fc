"""Files that are whole or absent, and full disks by their name."""

import errno
import os
from pathlib import Path

import pytest
from safetensors import SafetensorError

from pretraingym.lm.io.files import guess, naming_disk_errors, nearest, write_atomic


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_safetensors_errors_of_the_disk_are_os_errors() -> None:
    with pytest.raises(OSError, match="No space left on device: 'there'") as error, naming_disk_errors(Path("there")):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert error.value.errno == errno.ENOSPC
    with pytest.raises(SafetensorError, match="header"), naming_disk_errors(Path("there")):
        raise SafetensorError("invalid header")


def test_guess() -> None:
    assert guess("agrement", ["natural", "agreement"]) == "did you mean 'agreement'? "
    assert guess("known", ["a known: b", "unknown: c"]) == "did you mean 'unknown: c'? "
    assert guess("zzz", ["b", "a"]) == ""


def test_nearest() -> None:
    assert nearest("agrement", ["natural", "agreement"]) == "did you mean 'agreement'? known: agreement, natural"
    assert nearest("zzz", ["b", "a"]) == "known: a, b"
