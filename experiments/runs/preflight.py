"""Checks before a run begins, so that nothing is written for a run that cannot work."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ...env.agents.match import PREFIX
from ...env.agents.plugins import kinds
from ...env.scenarios.distribution import ScenarioDistribution
from ...env.scenarios.task import Task
from ...env.settings.setting import Setting
from ...lm.corpus.corpus import Corpus
from ...lm.io.errors import InputError, in_one_line
from ...lm.models.engine_config import EngineConfig
from ...policies.registry import make_policy
from ..progress import Progress
from .run_corpus import RECORD, corpus_of_run

if TYPE_CHECKING:
    from ...lm.target.target import Target


def check_policies(policies: Iterable[str], folder: Path, corpus: Path | None) -> None:
    """InputError: a policy that a run in `folder` asks for cannot be one, whatever its corpus is. Told before the
    corpus is built or read; agents of a corpus that is not named yet are taken on trust."""
    if (folder / RECORD).exists():  # the run has begun, with a corpus of its own
        return
    known = (*kinds(), *(Corpus.open(corpus).labels if corpus else ()))
    for policy in policies:
        make_policy(policy, (*known, policy) if policy.startswith(PREFIX) else known)


class ScenarioRunConfig(Protocol):
    """The fields that the configurations of all runs on numbered scenarios have."""

    @property
    def folder(self) -> Path: ...
    @property
    def corpus(self) -> Path | None: ...
    @property
    def setting(self) -> Setting: ...
    @property
    def distribution(self) -> ScenarioDistribution: ...


def task_of_run(config: ScenarioRunConfig, progress: Progress) -> Task:
    """The task of a run that begins or goes on, checked. InputError: as `corpus_of_run` and `preflight_task`, or the
    scenarios have reference tasks that the corpus does not have."""
    task = preflight_task(config.setting, corpus_of_run(config.folder, config.corpus, progress))
    config.distribution.reference_tasks(task)
    return task


def preflight_task(setting: Setting, corpus: Corpus) -> Task:
    """The task of `setting` on `corpus`, after two models of that setting have read a window on their device.
    InputError: unknown agents, sizes that do not fit, a model or a device that cannot be used."""
    task = setting.task(corpus)
    with _naming_the_model(setting):
        backend = setting.backend(task, 2)  # two, since models must work as a stack
        backend.start(0, 0)
        window = _longest_window(task)
        backend.influence(np.full((2, 1, 1), window), np.ones((2, 1)), np.full((2, 1), window), 1)
    return task


def preflight_target(setting: Setting, task: Task, engine: EngineConfig) -> "Target":
    """A new target, after it has read a window. InputError: sizes that do not fit, a model or a device that cannot be
    used."""
    with _naming_the_model(setting):
        target = setting.target(task, engine)
        window = _longest_window(task)
        target.influence(np.full((1, 1, 1), window), np.ones((1, 1)), np.full((1, 1), window), 1)
    return target


def _longest_window(task: Task) -> int:
    """A window of the longest document: full, if any is, since a model may read short text and not long."""
    document = int(np.argmax(np.diff(task.corpus.token_offsets)))
    return int(task.windows.ids(range(document, document + 1))[0])


@contextmanager
def _naming_the_model(setting: Setting) -> Iterator[None]:
    """Whatever torch and transformers raise inside becomes an InputError that names the model."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever the classes of models raise
        folder = setting.origin or setting.model
        what = f"the model in {folder}" if folder else f"a model of width {setting.width}"
        raise InputError(f"{what} cannot be trained on '{setting.device}': {in_one_line(error)}") from None


def check_seed(seed: int) -> None:
    """InputError: a seed that the random generators do not take."""
    if not 0 <= seed < 2**63:
        raise InputError(f"seed is {seed}, expected a whole number from 0 to 2^63 - 1")
