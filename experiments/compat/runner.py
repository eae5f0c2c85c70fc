"""Runs clients as processes of their own, with a time limit, and reads the line of JSON that each prints."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from .environments import InstallError
from .libraries import Library

CLIENTS = "pretraingym.experiments.compat.clients"


@dataclass(frozen=True)
class Outcome:
    """What came of one client: what it reported, or why it did not."""

    client: str
    wall_s: float = 0.0
    version: str = ""
    """of the library"""
    return_nats: float = float("nan")
    """mean return of what it learned"""
    error_nats: float = float("nan")
    """standard error of that"""
    fault: str = ""
    """empty: it works"""


def run_all(
    pythons: Mapping[Library, Path | InstallError], limit_s: float, jobs: int, package: str = CLIENTS
) -> list[tuple[Library, Outcome]]:
    """The outcome of every client of these libraries, `jobs` at a time; each library has its Python, or why it has
    none."""

    def outcome(library: Library, client: str) -> tuple[Library, Outcome]:
        python = pythons[library]
        done = run(python, client, limit_s, package) if isinstance(python, Path) else Outcome(client, fault=str(python))
        print(f"{client}: {done.fault or 'works'}, {done.wall_s:.0f} s", file=sys.stderr, flush=True)
        return library, done

    pairs = [(library, client) for library in pythons for client in library.clients]
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(lambda pair: outcome(*pair), pairs))


def run(python: Path, client: str, limit_s: float, package: str = CLIENTS) -> Outcome:
    """Run the module `client` of `package`. A client that fails, hangs or reports nothing is an outcome too."""
    begun_s, variables = perf_counter(), os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [str(python), "-m", f"{package}.{client}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=variables,
        start_new_session=True,  # so that what it starts can be ended with it
    )
    try:
        printed, errors = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return Outcome(client, perf_counter() - begun_s, fault=f"not done after {limit_s:g} s")
    wall_s, reports = perf_counter() - begun_s, [line for line in printed.splitlines() if line.startswith("{")]
    if process.returncode:
        return Outcome(client, wall_s, fault=_last(errors) or f"exit code {process.returncode}")
    if not reports:
        return Outcome(client, wall_s, fault="it reported no return")
    return Outcome(client, wall_s, **json.loads(reports[-1]))


def _last(text: str) -> str:
    """The last line that is not empty."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
