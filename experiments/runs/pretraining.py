"""Pretraining: a policy drives one target through its budget, on any number of ranks, through kills and restarts."""

import warnings
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...env.console.category_use import CategoryUse, achieved
from ...env.console.limits import Limit
from ...env.episode import WARMUP, Episode, Interval, run_episode
from ...env.episode_config import EpisodeConfig
from ...env.resumption import resume, state_of
from ...env.scenarios.scenario import Scenario
from ...env.scenarios.task import Task, task_means
from ...lm.io.errors import InputError
from ...lm.io.state import nested, under
from ...policies.base import Policy
from ..progress import Progress
from .run_folder import RunFolder

if TYPE_CHECKING:
    from ...lm.target.checkpoints import Checkpoint, Checkpoints
    from ...lm.target.target import Target

PART_STEPS = 10  # between two looks at the clock and at the loss
TEST_WINDOWS = 512  # of each reference task's test part


@dataclass
class Pretraining:
    """One run. Every rank goes through the same loop with the same numbers; rank 0 chooses the weights and the time to
    save, and writes the metrics."""

    task: Task
    config: EpisodeConfig
    target: "Target"
    policy: Policy
    scenario: Scenario
    seed: int
    checkpoints: "Checkpoints"
    save_every_s: float = 600.0
    log_curve: bool = True
    limits: tuple[Limit, ...] = ()
    drop_removed: bool = False  # documents that a changed corpus lacks
    episode: Episode = field(init=False)

    def __post_init__(self) -> None:
        self.episode = Episode(self.task, self.target, self.config, self.limits)
        self.validation_loss: float | None = None  # after the last interval
        self.saved_at = monotonic()
        self.test_loss_W = np.zeros(0)  # of the windows of the test part, at the end
        self.told_to_stop = False  # by the machine's scheduler; the next part of an interval is the last

    def run(self, found: "Checkpoint | None", folder: RunFolder | None, progress: Progress) -> dict[str, float]:
        """To the end of the budget, from a checkpoint if one was found -> test loss by task, nats a token. Rank 0 alone
        has a folder. InputError: the model diverged."""
        self.policy.reset(self.task.agent_names, 1)
        if found is None:
            self.episode.enter([0], [self.scenario], [self.seed])
        else:
            self._restore(found)
        if folder is not None:
            folder.keep_corpus(self.task.corpus)
        run_episode(
            self.episode,
            self._decide,
            part_steps=PART_STEPS,
            on_draw=partial(self._after_draw, folder),
            on_part=partial(self._after_part, folder, progress),
            on_interval=partial(self._after_interval, folder),
        )
        sample = self.task.test_sample(TEST_WINDOWS)
        losses = self.target.evaluate(sample.ids, averaged=False)
        self.test_loss_W = losses[0]
        loss_T = task_means(losses, sample.task, len(self.task.reference_tasks))[0]
        self.checkpoints.finish()
        self.target.ranks.wait()
        return dict(zip(self.task.reference_tasks, map(float, loss_T), strict=True))

    @property
    def tested(self) -> dict[str, Any]:
        """Losses of the windows of the test part at the end, and the corpus that they are of, as JSON has it."""
        return {"corpus": self.task.corpus.fingerprint, "loss_nats": self.test_loss_W.round(6).tolist()}

    def drawn(self) -> dict[str, list[CategoryUse]]:
        """What was drawn so far of the largest categories of each label, and of those under limits."""
        cells, episode = self.task.cells, self.episode
        named = [(limit.label, limit.category) for limit in self.limits]
        return achieved(
            self.task.layout.columns, cells.labels_CA, episode.drawn_NC[0], episode.sampler.pool_tokens_NC[0], named
        )

    def _decide(self, episode: Episode) -> NDArray[np.float64]:
        """Rank 0's policy decides for all."""
        weights = np.zeros(episode.mask_NK.shape)
        observation = episode.observe() if self.target.ranks.first else None
        with episode.stopwatch.part("observe"):
            if observation is not None:
                weights = np.asarray(self.policy.act(observation), np.float64)
            return self.target.ranks.broadcast(weights)

    def _after_draw(self, folder: RunFolder | None) -> None:
        """A checkpoint at every decision."""
        if self.episode.interval_N[0] == WARMUP:
            return
        self._save(folder, self.validation_loss)
        if self._due_and_told()[1]:
            self._stop()

    def _after_part(self, folder: RunFolder | None, progress: Progress, loss_N: NDArray[np.float64]) -> None:
        """After a part of an interval: how far the run is; a checkpoint, if it is time for one."""
        in_hand = self.episode.in_hand
        if not np.isfinite(loss_N[0]):  # before it is saved
            self._refuse_divergence()
        budget = self.config.budget_tokens(self.task.context)
        done = int(self.target.steps_N[0]) * budget // self.config.total_steps
        speed = self.episode.stopwatch.tokens_per_s
        progress.update(done, budget, tokens_per_s=speed, loss_nats=float(loss_N[0]))
        if in_hand is None or in_hand.steps_done == in_hand.windows.shape[1]:
            return
        due, told = self._due_and_told()
        if due or told:
            self._save(folder, None)
        if told:
            self._stop()

    def _due_and_told(self) -> tuple[bool, bool]:
        """(Rank 0's clock says save, any rank was told to stop), the same on all ranks."""
        import torch

        due = self.target.ranks.first and monotonic() - self.saved_at >= self.save_every_s
        due_told = torch.tensor([float(due), float(self.told_to_stop)], device=self.target.ranks.device)
        due_told = self.target.ranks.sum(due_told)
        return bool(due_told[0]), bool(due_told[1])

    def _stop(self) -> None:
        """KeyboardInterrupt, once what was saved is on the disk."""
        self.checkpoints.finish()
        self.target.ranks.wait()
        raise KeyboardInterrupt

    def _save(self, folder: RunFolder | None, validation_loss: float | None) -> None:
        arrays = state_of(self.episode) if self.target.ranks.first else {}  # rank 0's are those that are kept
        arrays |= nested("policy", self.policy.state_dict()) | {"clock": self.target.clock}
        about = {"validation_loss_nats": validation_loss, "metrics_bytes": 0, "elapsed_s": 0.0}
        if folder is not None:
            about |= {"metrics_bytes": folder.metrics_bytes, "elapsed_s": folder.elapsed_s}
        self.checkpoints.save(int(self.target.steps_N[0]), self.target.pieces(), arrays, about)
        self.saved_at = monotonic()

    def _restore(self, found: "Checkpoint") -> None:
        change = resume(self.episode, found.arrays, self.drop_removed)
        if change is not None and self.target.ranks.first:
            warnings.warn(change.told, stacklevel=2)
        self.policy.load_state_dict(under("policy", found.arrays))
        self.target.load_pieces(found.read)
        self.target.clock = found.arrays["clock"]

    def _after_interval(self, folder: RunFolder | None, interval: Interval) -> None:
        if interval.number_N[0] == WARMUP:
            return
        if interval.diverged_N[0]:
            self._refuse_divergence()
        self.validation_loss = float(interval.loss_N[0])
        by_task = zip(self.task.reference_tasks, interval.by_task_NT[0], strict=True)
        row = {
            "stage": "target",
            "policy": self.policy.name,
            "seed": self.seed,
            "interval": int(interval.number_N[0]) + 1,
            "tokens": int(interval.tokens_N[0]),
            "train_loss_nats": float(interval.train_loss_N[0]),
            "validation_loss_nats": {task: float(loss) for task, loss in by_task if np.isfinite(loss)},
            "weights": dict(zip(self.task.agent_names, map(float, interval.weights_NK[0]), strict=True)),
            "drawn": {label: [use.as_json() for use in uses] for label, uses in self.drawn().items()},
        }
        if folder is not None and self.log_curve:
            folder.log([row])

    def _refuse_divergence(self) -> None:
        raise InputError(
            f"the target under '{self.policy.name}' diverged by step {int(self.target.steps_N[0])}: its loss is not "
            "finite; lower the learning rates (--target.optimizer.muon-lr, --target.optimizer.adam-lr)"
        )


def shares_of_time(seconds: dict[str, float]) -> dict[str, float]:
    """What of a run's time went into having a console (probe, selection, observation and policy), and what into
    evaluations, over training and console together."""
    console = seconds["influence"] + seconds["select"] + seconds["observe"]
    total = max(console + seconds["train"], 1e-9)
    return {"console_share": round(console / total, 5), "evaluation_share": round(seconds["evaluate"] / total, 5)}


def as_result(losses: dict[str, float], target: "Target", episode: Episode) -> dict[str, Any]:
    """What a run's last line of output says of it."""
    return {
        "test_loss_nats": losses,
        "target_params": target.num_params,
        "tokens": int(episode.tokens_N[0]),
        **shares_of_time(episode.stopwatch.seconds),
        "profile_s": episode.stopwatch.seconds,
    }
