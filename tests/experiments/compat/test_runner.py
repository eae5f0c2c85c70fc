"""`make compat` without its libraries: every script is listed, and one that fails is a row among others."""

import sys
from pathlib import Path

import pytest

import pretraingym.experiments.compat as compat
from pretraingym.experiments.compat.environments import InstallError, pythons_of
from pretraingym.experiments.compat.libraries import LIBRARIES, Library
from pretraingym.experiments.compat.runner import Outcome, run, run_all
from pretraingym.experiments.compat.table import page

WORKS = """
import numpy as np
from pretraingym.experiments.compat.scoring import constant, report
print("{}")
report("numpy", constant(np.zeros(7)))
print("and goes on talking")
"""
SCRIPTS = {
    "works": WORKS,
    "raises": "raise ValueError('a | in a message')",
    "hangs": "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])",
    "silent": "print('0.3 nats')",
}


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package of tiny clients, which other processes can import too."""
    (tmp_path / "tiny").mkdir()
    for name, source in SCRIPTS.items():
        (tmp_path / "tiny" / f"{name}.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    return "tiny"


def test_every_script_is_listed_once() -> None:
    listed = [client for library in LIBRARIES for client in library.clients]
    scripts = {path.stem for path in Path(compat.__path__[0], "clients").glob("*.py")} - {"__init__"}
    assert sorted(listed) == sorted(scripts)


def test_every_environment_is_a_librarys_own_and_exact() -> None:
    asking = [library for library in LIBRARIES if library.requirements]
    assert len({library.folder for library in asking}) == len(asking)
    assert all("==" in requirement for library in asking for requirement in library.requirements)


def test_a_script_that_fails_is_a_row_and_the_others_go_on(scripts: str) -> None:
    library = Library("Tiny", (), ("raises", "silent", "works"))
    results = run_all({library: Path(sys.executable)}, limit_s=200, jobs=2, package=scripts)
    by_client = {outcome.client: outcome for _, outcome in results}
    assert list(by_client) == list(library.clients)
    works = by_client["works"]
    assert (works.fault, works.version.split(".")[0]) == ("", "2")
    assert abs(works.return_nats) < 1
    assert 0 < works.error_nats < 0.1
    assert by_client["raises"].fault == "ValueError: a | in a message"
    assert by_client["silent"].fault == "it reported no return"

    text = page("today", results, [Outcome("action 0", return_nats=works.return_nats - 0.25)], episodes=9, jobs=2)
    rows = {cells[3].strip(): cells for cells in (line.split("|") for line in text.splitlines()) if len(cells) > 6}
    assert rows["raises"][4].strip() == "no: ValueError: a / in a message"
    assert rows["works"][4].strip() == "yes"
    assert rows["works"][7].strip() == "+0.250"


def test_a_script_that_hangs_is_ended_with_what_it_started(scripts: str) -> None:
    outcome = run(Path(sys.executable), "hangs", limit_s=2, package=scripts)
    assert outcome.fault == "not done after 2 s"
    assert outcome.wall_s < 60  # its child holds the pipes: had it lived on, they would not be closed


def test_a_library_that_does_not_install_is_a_row_and_is_tried_again(tmp_path: Path) -> None:
    nowhere = Library("Nowhere", (str(tmp_path / "nowhere-1.0-py3-none-any.whl"),), ("works",), with_dependencies=False)
    for _ in range(2):
        pythons = pythons_of(tmp_path / "home", [nowhere])
        assert isinstance(pythons[nowhere], InstallError)
        ((library, outcome),) = run_all(pythons, limit_s=20, jobs=1)
        assert library is nowhere
        assert "nowhere-1.0-py3-none-any.whl" in outcome.fault
