"""The package itself: what a newcomer tries first."""

import subprocess
import sys
from importlib.metadata import version

import pretraingym


def ran(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True).stdout


def test_it_has_the_version_of_what_is_installed() -> None:
    assert pretraingym.__version__ == version("pretraingym")


def test_importing_it_registers_the_environments_and_loads_no_torch() -> None:
    code = (
        "import sys, gymnasium, pretraingym\n"
        "print(*(name for name in gymnasium.registry if name.startswith('PretrainGym/')), 'torch' in sys.modules)"
    )
    assert ran("-c", code).split() == ["PretrainGym/Console-v2", "PretrainGym/Surrogate-v2", "False"]


def test_python_runs_it() -> None:
    assert ran("-m", "pretraingym", "--version") == f"pretraingym {version('pretraingym')}\n"


def test_help_tells_what_is_where() -> None:
    page = ran("-c", "import pydoc, pretraingym; print(pydoc.plain(pydoc.render_doc(pretraingym)))")
    for name in ("pretraingym.env", "pretraingym.policies", "pretraingym.lm", "pretraingym.experiments"):
        assert f"{name}: " in page
