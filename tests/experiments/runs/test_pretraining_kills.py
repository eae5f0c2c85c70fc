"""Soak: a pretraining run is killed at random instants and comes to the same; the launchers start its ranks."""

import itertools
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pretraingym.env.episode_config import EpisodeConfig
from pretraingym.env.settings.setting import Setting
from pretraingym.experiments.commands.pretrain import PretrainConfig, main
from pretraingym.lm.corpus.corpus import Corpus

CLOCK = EpisodeConfig(
    num_intervals=4,
    steps_per_interval=40,
    batch_windows=8,
    warmup_steps=4,
    probe_windows=16,
    reference_windows=8,
    validation_windows=16,
    final_windows=32,
)
KILLS, LONGEST_S, LAST_WRITE = 32, 1.5, 24
SCRIPTS = Path(sys.executable).parent


def curve(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def die_at(write: int) -> None:
    """Kill this process at that many-th opening, renaming or deleting of an unfinished checkpoint's files."""
    seen = itertools.count(1)

    def hook(event: str, details: tuple[Any, ...]) -> None:
        writes = event.startswith(("open", "os.", "shutil.")) and any(".step-" in str(value) for value in details)
        if writes and next(seen) == write:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def in_a_process(config: PretrainConfig, dies_at: int | None = None) -> multiprocessing.process.BaseProcess:
    def work() -> None:
        torch.set_num_threads(1)
        if dies_at is not None:
            die_at(dies_at)
        main(config)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    return process


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_killed_at_random_instants_it_comes_to_the_same(tiny_corpus: Corpus, tmp_path: Path) -> None:
    setting = Setting(width=32, context=64, episode=CLOCK)
    config = PretrainConfig(
        "lift",
        folder=tmp_path / "whole",
        corpus=tiny_corpus.path,
        target=setting,
        save_every_s=1e-6,
        resume=True,
        no_trial=True,
    )
    whole = in_a_process(config)
    whole.join()
    assert whole.exitcode == 0
    rng, kills, runs, parts = random.Random(0), 0, 0, 0
    while kills < KILLS:
        folder, killed_here = tmp_path / f"run-{runs}", 0
        while True:
            aimed = killed_here < KILLS and kills % 2 == 1  # every other kill, since a timed one seldom meets a write
            process = in_a_process(replace(config, folder=folder), rng.randrange(2, LAST_WRITE) if aimed else None)
            process.join(rng.uniform(0.1, LONGEST_S) if killed_here < KILLS and not aimed else None)
            if process.exitcode is None:
                os.kill(process.pid or 0, signal.SIGKILL)
                process.join()
            if process.exitcode != -signal.SIGKILL:
                break
            kills, killed_here = kills + 1, killed_here + 1
            parts += len(list(folder.glob("checkpoints/.step-*.part")))
        assert process.exitcode == 0
        assert curve(folder) == curve(config.folder)
        assert not list(folder.glob("checkpoints/.step-*.part"))
        model = folder / "model" / "model.safetensors"
        assert model.read_bytes() == (config.folder / "model" / "model.safetensors").read_bytes()
        runs += 1
    assert parts >= KILLS // 4, "too few kills fell into the writing of a checkpoint"


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("launcher", "ranks"), [("torchrun", 2), ("accelerate", 1)])  # on CPUs it starts one alone
def test_the_launchers_start_ranks(tiny_corpus: Corpus, tmp_path: Path, launcher: str, ranks: int) -> None:
    start = [str(SCRIPTS / launcher)]
    if launcher == "torchrun":
        start += ["--nproc-per-node", str(ranks), "--master-port", "29587", "-m"]
    else:
        start += ["launch", "--cpu", "--num_processes", "1", "--num_machines", "1", "--mixed_precision", "no"]
        start += ["--dynamo_backend", "no", "--main_process_port", "29588", "--module"]
    command = [*start, "pretraingym.experiments", "pretrain", "--policy", "lift", "--target.width", "32"]
    command += ["--corpus", str(tiny_corpus.path), "--folder", str(tmp_path / "run"), "--engine.parallel", "fsdp"]
    command += ["--no-trial"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.strip())["policy"] == "lift"  # one line, of rank 0
    pieces = list((tmp_path / "run" / "checkpoints").glob("step-*/rank-*.safetensors"))
    assert len({path.name for path in pieces}) == ranks
    refused = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert refused.returncode != 0
    assert "already holds a run of this configuration" in refused.stderr
