"""The floating-point operations that a comparison charges: training, and all that a console adds to it."""

from dataclasses import dataclass
from math import sqrt

from ...env.measuring import TASK_STRIDE
from ...env.scenarios.task import Task
from ...env.settings.setting import Setting

LABEL_FLOPS_PER_BYTE = 20.0  # of one agent that labels by hashed n-grams (assumed; small beside one proxy)


@dataclass(frozen=True)
class Charges:
    """FLOPs of one run: of its training, of the evaluations that rewards need, and of the probes that observations
    need; at 2 operations a parameter and token forwards and 4 backwards (Kaplan et al. 2020, without attention)."""

    train: float
    evaluate: float
    probe: float

    @property
    def total(self) -> float:
        return self.train + self.evaluate + self.probe

    def overhead(self, times: float = 1.0) -> float:
        """What a run costs beyond its training, as a share of that, of a target whose training takes `times` the FLOPs.

        Such a target has about sqrt(times) the parameters and as many times the tokens (Hoffmann et al. 2022); it is
        evaluated and probed as often on as many windows, which costs sqrt(times) as much. Derived from that; with
        longer windows and more decisions the presets of 125 million parameters and more have .4% (--dry-run)."""
        return (self.total / self.train - 1) / sqrt(times)


def run_charges(setting: Setting, num_params: int, num_tasks: int) -> Charges:
    """FLOPs of a run under a policy that reads observations; natural needs its training alone."""
    clock, forwards = setting.episode, 2.0 * num_params * setting.context
    # Evaluations and probes come after the warm-up and every interval but the last, which has the final evaluation.
    evaluate = forwards * (clock.num_intervals * clock.validation_windows + clock.final_windows)
    probes = clock.num_intervals
    # Every TASK_STRIDE-th probe window: with weights moved along each task's gradient, and with weights as they are.
    by_task = (num_tasks + 1) * clock.probe_windows / TASK_STRIDE
    probe = forwards * probes * (3 * clock.reference_windows + 2 * clock.probe_windows + by_task)
    return Charges(3.0 * num_params * 2.0 * setting.budget_tokens, evaluate, probe)


def trial_flops(setting: Setting, pairs: int, windows: int, num_params: int, num_tasks: int) -> float:
    """FLOPs of a trial of so many pairs of runs, of which natural's are probed too since they run in one stack, and
    which are measured on so many windows of two parts of the reference tasks."""
    measured = 2 * windows * 2.0 * num_params * setting.context
    return 2 * pairs * (run_charges(setting, num_params, num_tasks).total + measured)


def label_flops(task: Task) -> float:
    """FLOPs of labelling the corpus once, for all agents that have a label column."""
    tokens = float(task.corpus.token_offsets[-1])
    bytes_ = tokens / task.corpus.tokens_per_byte("train")
    return LABEL_FLOPS_PER_BYTE * bytes_ * sum(agent.has_column for agent in task.prototypes)


def all_in_ratio(
    speedup: float, overhead: float, learning_runs: float, targets: float, target_over_proxy: float
) -> float:
    """How many times the FLOPs natural needs to reach the same losses on `targets` target runs.

    speedup: natural's training tokens over the policy's, for one loss; overhead: what a run under the policy costs
    beyond its training, as a share of that; learning_runs: the learning's and the labels' FLOPs over those of one
    proxy's training; target_over_proxy: training FLOPs of a target over a proxy's."""
    natural = targets * target_over_proxy * speedup
    return natural / (targets * target_over_proxy * (1 + overhead) + learning_runs)
