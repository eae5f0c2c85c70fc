"""Pretraining of targets: policies drive the runs of one Episode, side by side, from the same weights and numbers."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..env.episode import Episode, Outcome
from ..env.scenario import Scenario
from ..env.setting import Setting
from ..env.task import Task
from ..lm.corpus import reference_split
from ..lm.errors import InputError
from ..lm.files import naming_disk_errors, sync_folder
from ..lm.proxies import ProxyStack
from ..lm.state import state_under
from ..lm.target import Target
from ..policies.base import Policy, act_apart
from .progress import Progress
from .run_folder import RunFolder

TEST_WINDOWS = 512  # of each reference task's test half


@dataclass
class TargetRun:
    """One run a policy, all on one scenario and seed: the same initial weights and random numbers."""

    task: Task
    setting: Setting
    policies: list[Policy]
    scenario: Scenario
    seed: int

    def run(
        self, folder: RunFolder, stage: str, progress: Progress, log_curves: bool = True
    ) -> tuple[list[dict[str, float]], ProxyStack, dict[str, float]]:
        """Train to the end of the budget, from the folder's checkpoint if it has one of this stage.

        Returns the test loss by task of each run (nats per token), the learner with the trained models, and the
        seconds each part of the intervals took."""
        count, names = len(self.policies), self.task.agent_names
        learner = self.setting.learner(self.task, count)
        episode = Episode(self.task, learner, self.setting.episode)
        for policy in self.policies:
            policy.reset(names, 1)
        state = folder.load_checkpoint(stage)
        if state is None:
            episode.begin(list(range(count)), [self.scenario] * count, [self.seed] * count)
        else:
            _restore(episode, self.policies, state)
        while episode.interval_N[0] < self.setting.episode.num_intervals:
            outcome = episode.step(act_apart(self.policies, episode.observe()))
            refuse_divergence(self.policies, outcome)
            if log_curves:
                folder.log(self._rows(episode, outcome))
            budget = count * self.setting.budget_tokens
            progress.update(int(outcome.tokens_N.sum()), budget, tokens_per_s=episode.tokens_per_s)
            folder.save_checkpoint(stage, _state(episode, self.policies))
        losses = episode.test_losses(TEST_WINDOWS)
        return [dict(zip(self.task.tasks, map(float, row), strict=True)) for row in losses], learner, episode.seconds

    def _rows(self, episode: Episode, outcome: Outcome) -> list[dict[str, Any]]:
        rows = [curve_row(episode, outcome, run) for run in range(len(self.policies))]
        names = [{"policy": policy.name, "seed": self.seed} for policy in self.policies]
        return [{"stage": "target", **name, **row} for name, row in zip(names, rows, strict=True)]


def curve_row(episode: Episode, outcome: Outcome, run: int) -> dict[str, Any]:
    """Where a run stands after an interval, for its metrics."""
    by_task = zip(episode.task.tasks, outcome.by_task_NT[run], strict=True)
    return {
        "interval": int(episode.interval_N[run]),
        "tokens": int(outcome.tokens_N[run]),
        "train_loss_nats": float(outcome.train_loss_N[run]),
        "validation_loss_nats": {task: float(loss) for task, loss in by_task if np.isfinite(loss)},
        "weights": dict(zip(episode.task.agent_names, map(float, episode.weights_NK[run]), strict=True)),
    }


def refuse_divergence(policies: list[Policy], outcome: Outcome) -> None:
    """InputError for the first run that diverged."""
    for policy, diverged in zip(policies, outcome.diverged_N, strict=True):
        if diverged:
            raise InputError(
                f"the target under '{policy.name}' diverged after {int(outcome.tokens_N[0])} tokens: its loss is "
                "not finite; lower the learning rates (--target.optimizer.muon-lr, --target.optimizer.adam-lr)"
            )


def bits_per_byte(task: Task, losses: dict[str, float]) -> dict[str, float]:
    """Test losses by reference task, nats per token -> bits per UTF-8 byte, which compares models of any tokenizer.

    The first token of a window, which is not predicted, is taken to cost as much as the others."""
    return {
        name: loss / float(np.log(2)) * task.corpus.tokens_per_byte(reference_split(name, "test"))
        for name, loss in losses.items()
    }


def save_model(learner: ProxyStack | Target, slot: int, task: Task, folder: Path, card: str = "") -> None:
    """The model in `slot` with the corpus's tokenizer, and its card if there is one, as a transformers folder, whole or
    not at all. All ranks of a target call it; the first writes."""
    from transformers import PreTrainedTokenizerFast
    from transformers.utils import logging

    logging.disable_progress_bar()  # it would tear ours
    part = folder.with_name(f".{folder.name}.part")
    if isinstance(learner, Target) and not learner.ranks.first:
        learner.save_pretrained(slot, part)
        return
    shutil.rmtree(part, ignore_errors=True)
    with naming_disk_errors(part):
        learner.save_pretrained(slot, part)
        PreTrainedTokenizerFast(tokenizer_object=task.corpus.tokenizer()).save_pretrained(part)
    if card:
        (part / "README.md").write_text(card)
    sync_folder(part)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def _state(episode: Episode, policies: list[Policy]) -> dict[str, NDArray]:
    state = {f"episode/{key}": value for key, value in episode.state_dict().items()}
    state |= {f"learner/{key}": value for key, value in episode.learner.state_dict().items()}
    for index, policy in enumerate(policies):
        state |= {f"policy{index}/{key}": value for key, value in policy.state_dict().items()}
    return state


def _restore(episode: Episode, policies: list[Policy], state: dict[str, NDArray]) -> None:
    episode.load_state_dict(state_under("episode/", state))
    episode.learner.load_state_dict(state_under("learner/", state))
    for index, policy in enumerate(policies):
        policy.load_state_dict(state_under(f"policy{index}/", state))
