"""How many processor cores this process may use."""

import os
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
