"""The packaging, checked against the tree: pyproject.toml, requirements.lock, what is importable, what git ignores."""

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
TOP = ("env", "policies", "lm", "experiments")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = [
    Requirement(line)
    for line in (ROOT / "requirements.lock").read_text().splitlines()
    if line and not line.startswith("#")
]


def folders() -> dict[str, str]:
    """Import name -> folder, of every package in the tree; that of pretraingym itself is experiments/package_root."""
    inits = [path for top in TOP for path in (ROOT / top).rglob("__init__.py")]
    paths = [path.parent.relative_to(ROOT).as_posix() for path in inits]
    names = {f"pretraingym.{path.replace('/', '.')}": path for path in paths}
    return {"pretraingym": names.pop("pretraingym.experiments.package_root"), **names}


def test_every_package_of_the_tree_is_listed() -> None:
    setuptools = PROJECT["tool"]["setuptools"]
    assert setuptools["package-dir"] == folders()
    assert sorted(setuptools["packages"]) == sorted(folders())


def test_every_folder_with_modules_is_a_package() -> None:
    modules = [path for top in TOP for path in (ROOT / top).rglob("*.py")]
    assert {path.parent.relative_to(ROOT).as_posix() for path in modules} == set(folders().values())


def test_nothing_at_the_root_is_called_pretraingym() -> None:
    assert not list(ROOT.glob("pretraingym")) + list(ROOT.glob("pretraingym.py"))


def test_bare_names_are_not_importable(tmp_path: Path) -> None:
    probe = f"import importlib.util as u; print([n for n in {TOP} if u.find_spec(n)], u.find_spec('pretraingym.env'))"
    done = subprocess.run([sys.executable, "-c", probe], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[] ModuleSpec(name='pretraingym.env'"), done.stdout


def test_no_module_is_loaded_under_a_bare_name() -> None:
    assert not [name for name in sys.modules if name.split(".")[0] in TOP]


def test_the_tests_import_this_checkout() -> None:
    for name, folder in folders().items():
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin == str(ROOT / folder / "__init__.py")


@pytest.mark.skipif(not shutil.which("git") or not (ROOT / ".git").exists(), reason="not a git checkout")
def test_git_ignores_no_source() -> None:
    # Without --no-index git would not report files that are already tracked, which hides the fault.
    paths = [str(path.relative_to(ROOT)) for top in (*TOP, "tests") for path in (ROOT / top).rglob("*.py")]
    command = ["git", "-C", str(ROOT), "check-ignore", "--no-index", *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr  # 1: none of them is ignored


def test_the_lock_has_exact_versions_and_no_host() -> None:
    text = (ROOT / "requirements.lock").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line)] == []
    names = [requirement.name for requirement in LOCK]
    assert names == sorted(set(names))
    assert "://" not in text


def test_the_lock_satisfies_the_ranges_of_pyproject() -> None:
    locked = {canonicalize_name(requirement.name): str(requirement.specifier)[2:] for requirement in LOCK}
    project = PROJECT["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"], *PROJECT["build-system"]["requires"]]
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)]), requirement


def test_what_is_installed_is_what_is_locked() -> None:
    found = {canonicalize_name(dist.name): Version(dist.version) for dist in importlib.metadata.distributions()}
    versions = {name: version.public for name, version in found.items()}  # torch without "+cpu"
    wrong = [str(need) for need in LOCK if versions.get(canonicalize_name(need.name)) != str(need.specifier)[2:]]
    assert wrong == [], "run `make dev`"
