"""Run every library's script and write the table: `make compat`.

    python -m pretraingym.experiments.compat --libraries skrl Optuna --page runs/compat.md

Environments that are not there yet are made first, under `--home`. A library that does not install or run is a row of
the table that says so; the exit code is then 1.
"""

import subprocess
import sys
from dataclasses import dataclass, field
from datetime import date
from os import cpu_count
from pathlib import Path
from platform import python_version
from time import perf_counter

import tyro

from ...lm.io.errors import InputError
from ...lm.io.files import nearest, write_atomic
from ..benchmarks.proxies import device_name
from .constant_actions import constant_outcomes
from .environments import pythons_of
from .libraries import LIBRARIES
from .runner import run_all
from .scoring import EPISODES
from .table import page


@dataclass(frozen=True)
class CompatConfig:
    """Try libraries on the surrogate."""

    libraries: tuple[str, ...] = field(default_factory=lambda: tuple(library.name for library in LIBRARIES))
    """which (default: all)"""
    home: Path = Path(".compat")
    """folder of the environments"""
    page: Path = Path("experiments/results/compat.md")
    """where the table goes"""
    limit_s: float = 300.0
    """of each script"""
    jobs: int = 2
    """scripts at a time"""

    def __post_init__(self) -> None:
        known = [library.name for library in LIBRARIES]
        for name in self.libraries:
            if name not in known:
                raise InputError(f"there is no library '{name}'; {nearest(name, known)}")


def main(config: CompatConfig) -> int:
    """The exit code: 0 if all libraries work."""
    begun_s = perf_counter()
    pythons = pythons_of(config.home, [library for library in LIBRARIES if library.name in config.libraries])
    installed_s = perf_counter()
    results = run_all(pythons, config.limit_s, config.jobs)
    beside = constant_outcomes()
    minutes = (installed_s - begun_s) / 60, (perf_counter() - installed_s) / 60
    about = (
        f"{date.today()}, commit {_commit()}, {cpu_count()} cores of {device_name('cpu')}, Python {python_version()}. "
    )
    about += f"Installing took {minutes[0]:.1f} minutes, the rest {minutes[1]:.1f}."
    text = page(about, results, beside, episodes=EPISODES, jobs=config.jobs)
    write_atomic(config.page, text.encode())
    print(text)
    return int(any(outcome.fault for _, outcome in results))


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    try:
        sys.exit(main(tyro.cli(CompatConfig, description=__doc__)))
    except InputError as error:
        sys.exit(f"error: {error}")
