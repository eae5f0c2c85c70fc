"""One process at a time: others are refused, and a killed process blocks nobody."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from pretraingym.lm.io.errors import InputError
from pretraingym.lm.io.folder_lock import LOCK, lock_folder, locked


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    with locked(tmp_path):
        for _ in range(2):  # the second time too: the refused one left the lock as it was
            with pytest.raises(InputError, match=f"another process is at work in {tmp_path}; wait for it"):
                lock_folder(tmp_path)
        with pytest.raises(InputError, match="at work in the/corpus; wait"), locked(tmp_path, Path("the/corpus")):
            pass
    assert list(tmp_path.iterdir()) == []
    os.close(lock_folder(tmp_path))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_killed_process_blocks_nobody(tmp_path: Path) -> None:
    def work() -> None:
        lock_folder(tmp_path)
        os.kill(os.getpid(), signal.SIGKILL)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    assert (tmp_path / LOCK).exists()
    with locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_was_removed_locks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its holder removes it between another process's opening and locking: that one locks a new file."""
    opened = os.open

    def late(path: Path, flags: int) -> int:
        file = opened(path, flags)
        monkeypatch.setattr(os, "open", opened)
        Path(path).unlink()
        return file

    monkeypatch.setattr(os, "open", late)
    lock = lock_folder(tmp_path)
    with pytest.raises(InputError, match="another process is at work"):
        lock_folder(tmp_path)
    os.close(lock)


def test_the_lock_of_a_folder_that_was_moved_is_not_anothers(tmp_path: Path) -> None:
    place = tmp_path / "c"
    place.mkdir()
    with locked(place):
        place.rename(tmp_path / "old")
        place.mkdir()
        lock = lock_folder(place)
    assert (place / LOCK).exists()
    os.close(lock)


def test_a_folder_that_was_taken_away(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="another process is at work in"):
        lock_folder(tmp_path / "gone")
