"""How many processor cores this process may use."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup/cpu.max")


def usable_cores(cgroup: Path = CGROUP) -> int:
    """The fewest of the cores that the scheduler, a container's quota and OMP_NUM_THREADS allow, at least 1."""
    limits = [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1]
    try:
        quota, period = cgroup.read_text().split()
        limits.append(-(-int(quota) // int(period)))
    except (OSError, ValueError):  # no control groups here, or no quota ("max")
        pass
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdecimal():
        limits.append(int(threads))
    return max(1, min(limits))


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Inside, torch computes with that many threads on the CPU; then with as many as before, in this thread and in all
    that begin later, which take over the number that was set last."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
