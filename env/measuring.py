"""What is measured of N runs: the validation loss after every interval, and influence on a probe of their text."""

from itertools import product

import numpy as np
from numpy.typing import NDArray

from ..lm.backend import Backend
from ..lm.io.state import copies, nested, restore, under
from .agents.base import Feedback
from .cells.sampler import CellSampler
from .console.agent_scores import AgentScores
from .episode_config import EpisodeConfig
from .observation.features import paper_rewards, seen_gaps
from .observation.influence_moments import InfluenceMoments
from .observation.loss_history import LossHistory
from .observation.probe import in_units_of_rms, sample_probe
from .random_streams import FINAL, INFLUENCE, PROBE, VALIDATION, stream_keys
from .scenarios.scenario import LOSS_PARTS
from .scenarios.steering_text import SteeringText
from .scenarios.task import ReferenceSample, Task, group_means, task_means
from .stopwatch import Stopwatch

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
TASK_STRIDE = 4  # every fourth probe window also tells of the reference tasks one by one


class Measuring:
    """Measures N runs and keeps what was measured: `history` of validation losses, `moments` of influence, and of each
    agent, (N, K), over the last probe: `paper_reward_NK` (R_A of arXiv 2410.08102 eq. 7), `drift_NK` (how far its
    standardised scores moved) and `seen_gap_NK` (its loss on seen minus unseen windows, nats).

    Methods take the episode's own arrays; random numbers derive from seed_N and interval_N."""

    _ARRAYS = ("paper_reward_NK", "drift_NK", "seen_gap_NK")

    def __init__(
        self,
        task: Task,
        backend: Backend,
        config: EpisodeConfig,
        sampler: CellSampler,
        agents: AgentScores,
        stopwatch: Stopwatch,
    ) -> None:
        self.task, self.backend, self.config = task, backend, config
        self.sampler, self.agents, self.stopwatch = sampler, agents, stopwatch
        num_slots, num_agents = backend.num_slots, len(task.agent_names)
        self.history = LossHistory.of(num_slots)
        self.moments = InfluenceMoments(num_slots, num_agents, len(task.reference_tasks))
        self.paper_reward_NK, self.drift_NK, self.seen_gap_NK = np.zeros((3, num_slots, num_agents))

    def reset(self, slots: NDArray[np.intp]) -> None:
        """Forget what was measured of the runs in `slots`."""
        self.history.reset(slots)
        self.moments.reset(slots)
        for name in self._ARRAYS:
            getattr(self, name)[slots] = 0

    def validation_losses(
        self, task_weights_NT: Array, seed_N: NDArray[np.int64], active_N: Bools, final_N: Bools, on_trial_N: Bools
    ) -> tuple[Array, Array]:
        """Loss of the scenario's mixture of tasks (N,) and of each task (N, T), nats per token, NaN where not active.
        on_trial_N: the runs whose loss is that of the trial part.

        On the running average of the weights; of the runs in `final_N` on the weights themselves and more windows."""
        loss_N = np.full(len(active_N), np.nan)
        by_task_NT = np.full((len(active_N), len(self.task.reference_tasks)), np.nan)
        at_start_N = np.zeros(len(seed_N), np.int64)  # the same windows in every interval
        with self.stopwatch.part("evaluate"):
            for (of_runs_N, count, purpose), part in product(
                (
                    (active_N & ~final_N, self.config.validation_windows, VALIDATION),
                    (active_N & final_N, self.config.final_windows, FINAL),
                ),
                LOSS_PARTS,
            ):
                runs_N = of_runs_N & (on_trial_N == (part == "trial"))
                if not runs_N.any():
                    continue
                key_N = stream_keys(seed_N, purpose, at_start_N)
                sample = self.task.sample_reference(task_weights_NT, count, part, key_N)
                losses = self.backend.evaluate(sample.ids, averaged=purpose == VALIDATION)
                loss_N[runs_N] = (losses * sample.weight).sum(1)[runs_N]
                by_task_NT[runs_N] = task_means(losses, sample.task, by_task_NT.shape[1])[runs_N]
        return loss_N, by_task_NT

    def test_losses(self, count: int) -> Array:
        """Loss of each run on `count` windows of the test part of every reference task -> (N, T), nats per token.
        The same windows for every run; for reports alone."""
        sample = self.task.test_sample(count, self.backend.num_slots)
        losses = self.backend.evaluate(sample.ids, averaged=False)
        return task_means(losses, sample.task, len(self.task.reference_tasks))

    def window_losses(self, part: str, weights_T: Array, count: int) -> tuple[ReferenceSample, Array]:
        """`count` windows of that part of the reference tasks, by their weights, the same for every run, and the loss
        of each run on each of them, (N, W), nats per token."""
        sample = self.task.fixed_sample(weights_T, count, part, self.backend.num_slots)
        return sample, self.backend.evaluate(sample.ids, averaged=False)

    def probe(
        self,
        task_weights_NT: Array,
        steering: SteeringText,
        seed_N: NDArray[np.int64],
        interval_N: NDArray[np.int64],
        active_N: Bools,
    ) -> None:
        """Measure the influence of a sample of the active runs' text; the moments and the agents learn from it."""
        with self.stopwatch.part("influence"):
            config, labels_CA = self.config, self.task.cells.labels_CA
            probe_key_N, reference_key_N = (stream_keys(seed_N, purpose, interval_N) for purpose in (PROBE, INFLUENCE))
            probe = sample_probe(self.sampler, np.arange(len(active_N)), config.probe_windows, probe_key_N)
            groups = self.task.sample_groups(task_weights_NT, config.reference_windows, reference_key_N, steering)
            influence, loss, alone = self.backend.influence(groups.ids, groups.weight, probe.ids, TASK_STRIDE)
            influence = in_units_of_rms(np.where(active_N[:, None], influence, np.nan), probe.share)
            z_NKC, column_NK = self.agents.scores, self.agents.roster.column_NK  # priorities before this probe
            z_NKP = np.take_along_axis(z_NKC, probe.cell[:, None], 2)
            self.moments.update(z_NKP, influence, probe.share)
            by_task = group_means(np.where(active_N[:, None, None], alone, np.nan), groups.task)
            self.moments.update_tasks(z_NKP[:, :, ::TASK_STRIDE], by_task, probe.share[:, ::TASK_STRIDE])
            reward_NK = paper_rewards(z_NKP, np.nan_to_num(influence), labels_CA[probe.cell], column_NK)
            self.paper_reward_NK = np.where(np.isfinite(influence[:, :1]), reward_NK, self.paper_reward_NK)
            self.agents.update(
                Feedback(
                    labels=labels_CA[probe.cell],
                    share=probe.share,
                    loss=loss,
                    influence=influence,
                    reference_loss=self.history.last_end_N.copy(),
                    epochs=self.sampler.epochs_NC,
                )
            )
            moved_NKC = (self.agents.scores - z_NKC) ** 2 * self.sampler.natural_NC[:, None]
            gap_NK = seen_gaps(z_NKP, loss, probe.seen, probe.share)
            self.drift_NK[active_N] = np.sqrt(moved_NKC.sum(2))[active_N]
            self.seen_gap_NK[active_N] = gap_NK[active_N]

    def state_dict(self) -> dict[str, NDArray]:
        parts = nested("history", self.history.state_dict()) | nested("moments", self.moments.state_dict())
        return copies(self, self._ARRAYS) | parts

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        restore(self, self._ARRAYS, state)
        self.history.load_state_dict(under("history", state))
        self.moments.load_state_dict(under("moments", state))
