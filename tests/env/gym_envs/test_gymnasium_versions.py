"""The environment keeps its contract under the oldest Gymnasium that pyproject.toml allows, and under the newest."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
# Its wrappers, checkers and SyncVectorEnv, make and make_vec, the autoreset modes, our own checker, the adapter.
CONTRACT = (
    "env/gym_envs/test_gymnasium_clients.py",
    "env/gym_envs/test_vector_env.py",
    "env/gym_envs/test_autoreset.py",
    "env/checks/test_check_vector_env.py",
    "policies/sb3/test_vec_env.py",
)
NO_INDEX = re.compile(r"Retrying|NewConnectionError|ConnectTimeout|Name or service not known|Network is unreachable")

RUN = """
import sys
folder, version, *tests = sys.argv[1:]
import gymnasium, pytest
assert gymnasium.__file__.startswith(folder), gymnasium.__file__
assert gymnasium.__version__ == version, gymnasium.__version__
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "--timeout=240", *tests]))
"""


def install(wanted: str, folder: Path) -> str:
    """Puts that Gymnasium alone into `folder` -> its version. Skips the test where there is no package index."""
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-deps", "--target", str(folder)]
    done = subprocess.run([*pip, "--retries", "1", wanted], capture_output=True, text=True, timeout=300)
    if done.returncode and NO_INDEX.search(done.stdout + done.stderr):
        pytest.skip(f"the package index cannot be reached, so {wanted} was not tried")
    assert done.returncode == 0, done.stderr
    (info,) = folder.glob("gymnasium-*.dist-info")
    return info.name.removeprefix("gymnasium-").removesuffix(".dist-info")


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("wanted", "expected"), [("==1.1.*", r"1\.1\."), ("==1.2.*", r"1\.2\."), ("<2", r"1\.\d+\.")])
def test_the_contract_holds_with(wanted: str, expected: str, tmp_path: Path) -> None:
    version = install(f"gymnasium{wanted}", tmp_path)
    assert re.match(expected, version)
    paths = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    call = [sys.executable, "-c", RUN, str(tmp_path), version, *(str(TESTS / test) for test in CONTRACT)]
    done = subprocess.run(
        call, capture_output=True, text=True, timeout=800, env={**os.environ, "PYTHONPATH": paths}, cwd=TESTS.parent
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert re.search(r"\d+ passed", done.stdout)
