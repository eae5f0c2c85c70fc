"""Fixtures that all tests share."""

import itertools
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import PartialState
from hypothesis import settings

from pretraingym.env.episode_config import EpisodeConfig
from pretraingym.env.settings.setting import Setting
from pretraingym.lm.backend import Backend
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.ingest.synthetic import build_synthetic

settings.register_profile("any load", deadline=None)  # how long an example takes is no fault of the code
settings.load_profile("any load")


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A labelled synthetic corpus: 1,000 training documents in five domains, tasks prose and code, vocabulary 320."""
    return build_synthetic(tmp_path_factory.mktemp("corpus") / "tiny")


@pytest.fixture(scope="session")
def break_model() -> Callable[[Backend, int], None]:
    """Makes the model in one slot of a backend diverge: every weight of it becomes NaN."""

    def break_slot(backend: Backend, slot: int) -> None:
        state = backend.state_dict()
        weights = [value for name, value in state.items() if name.startswith("weight.")]
        assert weights, f"{type(backend).__name__} has no weights to break"
        for value in weights:
            value[slot] = np.nan
        backend.load_state_dict(state)

    return break_slot


@pytest.fixture
def on_ranks() -> Callable[[int, Callable[[], Any]], list[multiprocessing.process.BaseProcess]]:
    """Starts forked processes that do some work as the ranks of one group, and returns them."""

    def start(count: int, work: Callable[[], Any]) -> list[multiprocessing.process.BaseProcess]:
        with socket.socket() as free:
            free.bind(("", 0))
            port = free.getsockname()[1]

        def as_rank(rank: int) -> None:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_WORLD_SIZE": str(count)}
            os.environ["OMP_NUM_THREADS"] = "1"  # as torchrun sets it
            PartialState._reset_state()
            torch.set_num_threads(1)
            work()

        fork = multiprocessing.get_context("fork")  # a spawned process would import everything again
        processes = [fork.Process(target=as_rank, args=(rank,)) for rank in range(count)]
        for process in processes:
            process.start()
        return list(processes)

    return start


@pytest.fixture
def all_ranks(on_ranks: Any) -> Callable[[int, Callable[[], Any]], None]:
    """Runs some work on so many ranks, and waits for its end."""

    def run(count: int, work: Callable[[], Any]) -> None:
        processes = on_ranks(count, work)
        for process in processes:
            process.join(120)
        assert [process.exitcode for process in processes] == [0] * count

    return run


CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "shutil.copytree"}


@pytest.fixture
def killed_at() -> Callable[[int, Callable[[], Any]], bool]:
    """Does some work in a forked process that is killed just before it makes, renames or deletes a file or folder for
    the so-many-th time; False: the work was done before."""

    def run(step: int, work: Callable[[], Any]) -> bool:
        def forked() -> None:
            seen = itertools.count(1)

            def hook(event: str, _: tuple[Any, ...]) -> None:
                if event in CHANGES and next(seen) == step:
                    os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(hook)
            work()

        process = multiprocessing.get_context("fork").Process(target=forked)
        process.start()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        return process.exitcode != 0

    return run


@pytest.fixture
def trial_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the results of trials are kept, of this test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pretraingym" / "trials"


@pytest.fixture(scope="session")
def fake_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up site-packages folder: four packages of random but well-formed files, in most of the domains."""
    root = tmp_path_factory.mktemp("site")
    _make_packages(root)
    return root


PROSE = ["the", "value", "of", "each", "array", "is", "given", "by", "its", "first", "axis", "and", "then", "returned"]
CODE = ["index", "result", "buffer", "config", "parse", "reader", "handle", "cache", "node", "state", "token", "shape"]


def _make_packages(root: Path, packages: int = 4, modules: int = 60, seed: int = 0) -> None:
    """Write `packages` packages below `root`, each with modules, tests, headers, tables, a licence and a RECORD."""
    rng = np.random.default_rng(seed)
    for number in range(packages):
        package = root / f"package{number}"
        for module in range(modules):
            _write(package / f"part{module % 7}" / f"module{module}.py", _module(rng))
        for module in range(6):
            _write(package / "tests" / f"test_module{module}.py", _code(rng, 30))
            _write(
                package / "include" / f"header{module}.h", "".join(f"int {_name(rng)}(double x);\n" for _ in range(40))
            )
            _write(package / "data" / f"table{module}.csv", _table(rng))
        _write(package / "LICENSE", _sentences(rng, 30))
        info = root / f"package{number}-1.0.dist-info"
        _write(
            info / "METADATA", f"Metadata-Version: 2.1\nName: package{number}\nVersion: 1.0\n\n{_sentences(rng, 40)}"
        )
        files = [path for folder in (package, info) for path in sorted(folder.rglob("*")) if path.is_file()]
        record = [f"{path.relative_to(root).as_posix()},sha256=x,{path.stat().st_size}" for path in files]
        _write(info / "RECORD", "\n".join([*record, "../outside.py,sha256=x,500"]) + "\n")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _name(rng: np.random.Generator) -> str:
    return "_".join(rng.choice(CODE, 3)) + str(rng.integers(100))


def _sentences(rng: np.random.Generator, count: int) -> str:
    sentences = (" ".join(rng.choice(PROSE, 12)).capitalize() + "." for _ in range(count))
    return "\n".join(sentences)


def _code(rng: np.random.Generator, functions: int) -> str:
    return "\n\n".join(
        f"def {_name(rng)}({_name(rng)}):\n    return {_name(rng)} + {_name(rng)}" for _ in range(functions)
    )


def _module(rng: np.random.Generator) -> str:
    documented = f'def {_name(rng)}():\n    """{_sentences(rng, 6)}"""\n    return {_name(rng)}'
    return f'"""{_sentences(rng, 8)}"""\n\n{_code(rng, 10)}\n\n{documented}\n'


def _table(rng: np.random.Generator) -> str:
    return "\n".join(",".join(f"{value:.3f}" for value in row) for row in rng.random((40, 5)))


@pytest.fixture(scope="session")
def tiny_setting() -> Setting:
    """Proxies of 6k parameters that train an episode in about a tenth of a second."""
    episode = EpisodeConfig(
        num_intervals=3,
        steps_per_interval=4,
        batch_windows=8,
        warmup_steps=2,
        probe_windows=24,
        reference_windows=8,
        validation_windows=8,
        final_windows=16,
    )
    return Setting(width=16, num_layers=1, context=16, lr_warmup_steps=2, episode=episode)
