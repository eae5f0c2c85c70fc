"""What can be found out before a run begins: nothing is written for a run that cannot be."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from ...env.scenarios.distribution import ScenarioDistribution
from ...env.scenarios.task import Task
from ...env.settings.setting import Setting
from ...lm.corpus.corpus import Corpus
from ...lm.io.errors import InputError
from ...lm.models.engine_config import EngineConfig
from ...lm.target.target import Target
from ..progress import Progress
from .run_corpus import run_corpus


class ScenarioRun(Protocol):
    """What the configurations of runs on numbered scenarios share."""

    @property
    def folder(self) -> Path: ...
    @property
    def corpus(self) -> Path | None: ...
    @property
    def setting(self) -> Setting: ...
    @property
    def distribution(self) -> ScenarioDistribution: ...


def run_task(config: ScenarioRun, progress: Progress) -> Task:
    """The checked task of a run that is to begin or to go on. InputError: `preflight`'s, or unknown reference tasks."""
    progress.stage("corpus", 90)
    task = preflight(config.setting, run_corpus(config.folder, config.corpus, progress))
    config.distribution.tasks(task)
    return task


def preflight(setting: Setting, corpus: Corpus) -> Task:
    """The task of `setting` on `corpus`, once a model of that setting has read a window on its device. InputError:
    unknown agents, sizes that do not fit, a model or a device that cannot be used."""
    task = setting.task(corpus)
    with _naming_the_model(setting):
        backend = setting.backend(task, 2)  # two: a stack is what has to work
        backend.start(0, 0)
        backend.influence(np.zeros((2, 1, 1), np.int64), np.ones((2, 1)), np.zeros((2, 1), np.int64), 1)
    return task


def checked_target(setting: Setting, task: Task, engine: EngineConfig) -> Target:
    """A target that has read a window. InputError: sizes that do not fit, a model or a device that cannot be used."""
    with _naming_the_model(setting):
        target = setting.target(task, engine)
        target.influence(np.zeros((1, 1, 1), np.int64), np.ones((1, 1)), np.zeros((1, 1), np.int64), 1)
    return target


@contextmanager
def _naming_the_model(setting: Setting) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except (TypeError, ValueError, RuntimeError, AssertionError, AttributeError, IndexError, KeyError) as error:
        folder = setting.origin or setting.model
        what = f"the model in {folder}" if folder else f"a model of width {setting.width}"
        raise InputError(
            f"{what} cannot be trained on '{setting.device}': {str(error).splitlines()[0] if str(error) else error!r}"
        ) from None


def check_seed(seed: int) -> None:
    """InputError for what no generator takes."""
    if not 0 <= seed < 2**63:
        raise InputError(f"seed is {seed}, expected a whole number from 0 to 2^63 - 1")
