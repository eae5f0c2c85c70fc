"""Pretraining: a policy drives one target through its budget, on any number of ranks, through kills and restarts."""

from dataclasses import dataclass, field
from time import monotonic, perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...env.episode import Episode, Outcome
from ...env.episode_config import EpisodeConfig
from ...env.scenarios.scenario import Scenario
from ...env.scenarios.task import Task
from ...lm.io.errors import InputError
from ...lm.io.state import state_under
from ...lm.target.checkpoints import Checkpoint, Checkpoints
from ...lm.target.target import Target
from ...policies.base import Policy
from ..progress import Progress
from .run_folder import RunFolder

ACTIVE = np.ones(1, bool)
PART_STEPS = 10  # between two looks at the clock and at the loss
TEST_WINDOWS = 512  # of each reference task's test half


@dataclass
class Pretraining:
    """One run. Every rank goes through the same loop with the same numbers; rank 0 decides, writes metrics, and its
    word on the weights and on the time to save holds."""

    task: Task
    config: EpisodeConfig
    target: Target
    policy: Policy
    scenario: Scenario
    seed: int
    checkpoints: Checkpoints
    save_every_s: float = 600.0
    log_curve: bool = True
    episode: Episode = field(init=False)

    def __post_init__(self) -> None:
        self.episode = Episode(self.task, self.target, self.config)
        self.ids_1SB = np.zeros((1, 0, self.config.batch_windows), np.int64)  # of the interval in hand
        self.steps_done, self.loss_sum, self.saved_at = 0, 0.0, monotonic()
        self.told_to_stop = False  # by the machine's scheduler; the next part of an interval is the last

    def run(self, found: Checkpoint | None, folder: RunFolder | None, progress: Progress) -> dict[str, float]:
        """To the end of the budget, from a checkpoint if one was found -> test loss by task, nats a token. Rank 0 alone
        has a folder. InputError: the model diverged."""
        episode, ranks = self.episode, self.target.ranks
        self.policy.reset(self.task.agent_names, 1)
        if found is None:
            episode.enter([0], [self.scenario], [self.seed])
            self._begin(episode.draw_warmup(ACTIVE))
        else:
            self._restore(found)
        while True:
            train_loss_N = self._train_interval(folder, progress)
            validation_loss = None
            if episode.interval_N[0] < 0:
                episode.settle(train_loss_N, ACTIVE)
            else:
                outcome = episode.measure(train_loss_N, ACTIVE)
                if outcome.diverged_N[0]:
                    self._refuse_divergence()
                validation_loss = self._log(outcome, folder)
            if episode.interval_N[0] >= self.config.num_intervals:
                break
            self._begin(episode.draw_interval(self._decide(), ACTIVE))
            self._save(folder, validation_loss)
            if self._due_and_told()[1]:
                self._stop()
        losses = episode.test_losses(TEST_WINDOWS)[0]
        self.checkpoints.finish()
        ranks.wait()
        return dict(zip(self.task.tasks, map(float, losses), strict=True))

    def _begin(self, ids_1SB: NDArray[np.int64]) -> None:
        self.ids_1SB, self.steps_done, self.loss_sum = ids_1SB, 0, 0.0

    def _decide(self) -> NDArray[np.float64]:
        weights = np.zeros(self.episode.mask_NK.shape)
        observation = self.episode.observe() if self.target.ranks.first else None  # which keeps its own time
        t0 = perf_counter()
        if observation is not None:
            weights = np.asarray(self.policy.act(observation), np.float64)
        weights = self.target.ranks.word_of_first(weights)
        self.episode.seconds["observe"] += perf_counter() - t0
        return weights

    def _train_interval(self, folder: RunFolder | None, progress: Progress) -> NDArray[np.float64]:
        """What is left of the interval in hand -> its mean training loss (1,)."""
        steps = self.ids_1SB.shape[1]
        budget = self.config.budget_tokens(self.task.context)
        while self.steps_done < steps:
            stop = min(self.steps_done + PART_STEPS, steps)
            loss_N = self.episode.train(self.ids_1SB[:, self.steps_done : stop], ACTIVE)
            if not np.isfinite(loss_N[0]):  # before it is saved
                self._refuse_divergence()
            self.loss_sum += float(loss_N[0]) * (stop - self.steps_done)
            self.steps_done = stop
            done = int(self.target.steps_N[0]) * budget // self.config.total_steps
            progress.update(done, budget, tokens_per_s=self.episode.tokens_per_s, loss_nats=float(loss_N[0]))
            due, told = self._due_and_told() if stop < steps else (False, False)
            if due or told:
                self._save(folder, None)
            if told:
                self._stop()
        return np.array([self.loss_sum / steps])

    def _due_and_told(self) -> tuple[bool, bool]:
        """(Rank 0's clock says save, any rank was told to stop), the same on all ranks."""
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
        arrays = {f"episode/{key}": value for key, value in self.episode.state_dict().items()}
        arrays |= {f"policy/{key}": value for key, value in self.policy.state_dict().items()}
        arrays |= {"ids": self.ids_1SB, "clock": self.target.clock}
        arrays["interval"] = np.array([self.steps_done, self.loss_sum])
        about = {"validation_loss_nats": validation_loss, "metrics_bytes": 0, "elapsed_s": 0.0}
        if folder is not None:
            about |= {"metrics_bytes": folder.metrics_bytes(), "elapsed_s": folder.elapsed_s}
        self.checkpoints.save(int(self.target.steps_N[0]), self.target.pieces(), arrays, about)
        self.saved_at = monotonic()

    def _restore(self, found: Checkpoint) -> None:
        self.episode.load_state_dict(state_under("episode/", found.arrays))
        self.policy.load_state_dict(state_under("policy/", found.arrays))
        self.target.load_pieces(found.read)
        self.target.clock = found.arrays["clock"]
        self.ids_1SB = found.arrays["ids"]
        self.steps_done, self.loss_sum = int(found.arrays["interval"][0]), float(found.arrays["interval"][1])

    def _log(self, outcome: Outcome, folder: RunFolder | None) -> float:
        by_task = zip(self.task.tasks, outcome.by_task_NT[0], strict=True)
        row = {
            "stage": "target",
            "policy": self.policy.name,
            "seed": self.seed,
            "interval": int(self.episode.interval_N[0]),
            "tokens": int(outcome.tokens_N[0]),
            "train_loss_nats": float(outcome.train_loss_N[0]),
            "validation_loss_nats": {task: float(loss) for task, loss in by_task if np.isfinite(loss)},
            "weights": dict(zip(self.task.agent_names, map(float, self.episode.weights_NK[0]), strict=True)),
        }
        if folder is not None and self.log_curve:
            folder.log([row])
        return float(outcome.loss_N[0])

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


def as_result(losses: dict[str, float], target: Target, episode: Episode) -> dict[str, Any]:
    """What a run's last line of output says of it."""
    return {
        "test_loss_nats": losses,
        "target_params": target.num_params,
        "tokens": int(episode.tokens_N[0]),
        **shares_of_time(episode.seconds),
        "profile_s": episode.seconds,
    }
