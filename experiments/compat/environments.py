"""An environment for each library: the project's packages, and over them what the library asks for."""

import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from .libraries import Library

STAMP = ".installed"


class InstallError(Exception):
    """pip could not install a library: the message is its error line."""


def pythons_of(home: Path, libraries: Iterable[Library]) -> dict[Library, Path | InstallError]:
    """Each library's Python, or why pip could not install it."""
    pythons: dict[Library, Path | InstallError] = {}
    for library in libraries:
        print(f"{library.name}: its environment", file=sys.stderr, flush=True)
        try:
            pythons[library] = python_of(home, library)
        except InstallError as error:
            pythons[library] = error
    return pythons


def python_of(home: Path, library: Library) -> Path:
    """The Python that runs the library's scripts. Its environment, in a folder of `home`, is made first if it is not
    there, or holds other requirements. InstallError: pip refuses."""
    if not library.requirements:
        return Path(sys.executable)
    folder = home / library.folder
    wanted, stamp = repr((library.requirements, library.with_dependencies, sys.prefix, sys.version)), folder / STAMP
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        _install(folder, library)
        stamp.write_text(wanted)
    return folder / "bin" / "python"


def _install(folder: Path, library: Library) -> None:
    """Hold torch at the project's version: pip might fetch another build of some gigabytes."""
    venv.create(folder, symlinks=True)  # without pip: it uses the project's
    (packages,) = folder.glob("lib/python*/site-packages")
    own = sysconfig.get_path("purelib")
    (packages / "project.pth").write_text(f"import site; site.addsitedir({own!r})\n")
    constraints = folder / "constraints.txt"
    constraints.write_text(f"torch=={version('torch').split('+')[0]}\n")
    options = ["--disable-pip-version-check", "--quiet", "--constraint", str(constraints)]
    options += [] if library.with_dependencies else ["--no-deps"]
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", *options, *library.requirements]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise InstallError(errors[-1] if errors else f"pip ended with exit code {done.returncode}")
