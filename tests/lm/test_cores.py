"""Cores are those that quotas and the environment leave."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from pretraingym.lm.cores import torch_threads, usable_cores


@pytest.mark.parametrize(
    ("quota", "threads", "expected"),
    [("max 100000", "", 16), ("150000 100000", "", 2), ("50000 100000", "", 1), ("max 100000", "3", 3), ("", "0", 1)],
)
def test_the_tightest_limit_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, threads: str, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    (tmp_path / "cpu.max").write_text(quota)
    assert usable_cores(tmp_path / "cpu.max") == expected


def test_without_control_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert usable_cores(tmp_path / "none") == os.cpu_count()


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def threads_of_a_new_thread() -> int:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.get_num_threads).result()


@pytest.mark.usefixtures("three_threads")
def test_threads_are_set_for_a_while() -> None:
    with suppress(KeyError), torch_threads(1):
        assert torch.get_num_threads() == threads_of_a_new_thread() == 1
        raise KeyError
    assert torch.get_num_threads() == threads_of_a_new_thread() == 3
