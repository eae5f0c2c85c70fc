"""A trial: pairs of proxy runs, of a policy and of natural, on the corpus, reference tasks and limits of a target.

A proxy's pool has as many budgets of text as the target's, so that both repeat the same text equally often (simulated
epoching); the tokens are the corpus's own, whatever the target's tokenizer is. The clock is the proxies' (six decisions
and 322 steps by default) and not the target's: a policy that behaves otherwise with other numbers of decisions is tried
as it is on proxies. Proxies begin afresh, also where the target goes on from a model's weights. Losses are measured on
the trial part of the reference tasks, which neither steers nor is what agents were fitted to, and beside it on the
validation part, which is both: what a policy gains there and not here is fit to that text.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from ...env.console.limits import Limit
from ...env.episode import DIVERGENCE_PENALTY_NATS
from ...env.episode_config import EpisodeConfig
from ...env.scenarios.pool import whole_corpus_scenario
from ...env.scenarios.scenario import Scenario
from ...env.scenarios.task import Task
from ...env.settings.setting import Setting
from ...lm.io.errors import InputError
from ...lm.keyed_random import seed_of
from ..base import Policy
from ..baselines.fixed import Natural
from .side_by_side import FinishedEpisode, run_side_by_side
from .window_gains import MeanGain, Stratum, mean_gain, strata

STREAM = 2**34  # keeps the seeds of trials apart from those of other runs
LEAST_PAIRS = 2  # of runs, for a standard error
LEAST_WINDOWS = 16  # of each task in play, also of the lightest, where there are as many: of one document's no interval


@dataclass(frozen=True)
class TrialConfig:
    """The proxy runs by which a policy is tried before a target is paid for. On two cores that takes about a minute
    where the corpus has the default vocabulary of 512 tokens; with 32 thousand about 40 minutes, with 128 thousand 2.6
    hours, since most of such a proxy's parameters are its vocabulary's (estimates)."""

    seeds: int = 16
    """pairs of runs, of the policy and of natural"""
    windows: int = 1024
    """windows of the reference tasks' trial part to measure losses on, and as many of the validation part"""
    seed: int = 0
    """seed of the runs"""
    proxy: Setting = field(default_factory=Setting)
    """the models that are tried on; agents, console and action map are the target's"""

    def __post_init__(self) -> None:
        if self.seeds < LEAST_PAIRS or self.windows < 1 or self.seed < 0:
            raise InputError(
                f"trial of {self.seeds} seeds, {self.windows} windows and seed {self.seed} given, expected at least "
                f"{LEAST_PAIRS}, 1 and 0; to try nothing give --no-trial"
            )


@dataclass(frozen=True)
class TrialResult:
    """What a trial of a policy came to. gain: on the trial part; validation_gain: on the validation part; fit: how much
    larger the latter is. pairs: of runs that it is over; documents: of the trial part; pool_budgets: tokens of text
    over tokens of the budget, of the proxies and of the target; params, num_tasks: of a proxy, and reference tasks;
    seconds: when it was run."""

    policy: str
    gain: MeanGain
    validation_gain: MeanGain
    fit: MeanGain
    pairs: int
    documents: int
    pool_budgets: tuple[float, float]
    params: int
    num_tasks: int
    seconds: float


@dataclass(frozen=True)
class Trial:
    """What is tried: a policy, called `name`, with proxies of `setting` on one scenario of `task` under limits."""

    name: str
    policy: Policy
    config: TrialConfig
    setting: Setting
    task: Task
    scenario: Scenario
    limits: tuple[Limit, ...] = ()

    @classmethod
    def before(
        cls,
        target: Task,
        clock: EpisodeConfig,
        name: str,
        policy: Policy,
        config: TrialConfig,
        reference: dict[str, float],
        limits: tuple[Limit, ...] = (),
    ) -> "Trial":
        """Of a run on the whole corpus of `target` with that clock and those weights of its reference tasks.
        InputError: as `whole_corpus_scenario`, the proxies' sizes do not fit the corpus, or the windows are too few."""
        own = replace(config.proxy.episode, console=clock.console, action_map=clock.action_map)
        setting = replace(config.proxy, agents=target.agents, episode=own)
        scenario = whole_corpus_scenario(target, clock.budget_tokens(target.context), reference)
        if config.windows < (in_play := sum(weight > 0 for _, weight in scenario.reference)):
            raise InputError(
                f"trial of {config.windows} windows given, expected at least one for each of the {in_play} reference "
                "tasks in play: give more with --trial.windows, or go without a trial (--no-trial)"
            )
        try:
            task = setting.task(target.corpus.with_own_tokens())
        except InputError as error:
            raise InputError(f"for the trial on proxies {error}; or go without a trial (--no-trial)") from None
        return cls(name, policy, config, setting, task, scenario, limits)

    def seeds(self, count: int, after: int = 0) -> list[int]:
        """Seeds of runs: `count` of them, after the first `after`."""
        return [seed_of(self.config.seed, number, STREAM) for number in range(after, after + count)]

    def run(self, progress: Callable[[int, int], None] = lambda done, total: None) -> TrialResult:
        """Run it. progress: is called with the steps done and all steps. InputError: natural diverges, or the proxies
        cannot keep the limits."""
        begun = perf_counter()
        finished = self.finished(self.seeds(self.config.seeds), progress)
        pairs = pairs_in(finished)
        if len(pairs) < LEAST_PAIRS:
            raise InputError(
                f"natural diverged in all but {len(pairs)} of the trial's {self.config.seeds} runs on proxies: lower "
                "their learning rates (--trial.proxy.optimizer.muon-lr), or go without a trial (--no-trial)"
            )
        trial, validation = (self.measured(finished, pairs, part) for part in ("trial", "validation"))
        of_fit = [*validation, *(replace(part, weight=-part.weight) for part in trial)]
        tokens = float(self.task.cells.tokens_C.sum()) / self.setting.budget_tokens
        return TrialResult(
            self.name,
            mean_gain(trial),
            mean_gain(validation),
            mean_gain(of_fit),
            len(pairs),
            sum(len(np.unique(part.document_W)) for part in trial),
            (min(tokens, self.scenario.pool_budgets), self.scenario.pool_budgets),
            finished.episode.backend.num_params,
            len(self.task.reference_tasks),
            perf_counter() - begun,
        )

    def finished(
        self, seeds: list[int], progress: Callable[[int, int], None] = lambda done, total: None
    ) -> FinishedEpisode:
        """Runs of natural, then of the policy, with these seeds. InputError: proxies cannot, as where their whole
        windows are too few to keep a limit."""
        clock, steps = self.setting.episode, [0]

        def note(_: object) -> None:
            steps[0] += clock.steps_per_interval if steps[0] else clock.warmup_steps
            progress(steps[0], clock.total_steps)

        policies = [Natural(), self.policy]
        try:
            return run_side_by_side(self.setting, self.task, policies, self.scenario, seeds, self.limits, note)
        except InputError as error:
            raise InputError(f"in the trial on proxies {error}; or go without a trial (--no-trial)") from None

    def measured(self, finished: FinishedEpisode, pairs: NDArray[np.intp], part: str) -> list[Stratum]:
        """The gains of these pairs of runs on windows of that part; a run that diverged lost a nat."""
        weights_T, windows = self.task.task_weights(self.scenario), self.config.windows
        sample, losses = finished.episode.measuring.window_losses(part, drawn_by(weights_T, windows), windows)
        natural_NW, own_NW = losses[pairs], losses[len(losses) // 2 + pairs]
        gain_NW = np.where(np.isfinite(own_NW), natural_NW - own_NW, -DIVERGENCE_PENALTY_NATS)
        return strata(self.task, weights_T, sample, gain_NW)


def pairs_in(finished: FinishedEpisode) -> NDArray[np.intp]:
    """Which pairs of runs can be told of: those of which natural, whose runs come first, did not diverge."""
    loss_N = finished.last.loss_N
    return np.flatnonzero(np.isfinite(loss_N[: len(loss_N) // 2]))


def drawn_by(weights_T: NDArray[np.float64], windows: int) -> NDArray[np.float64]:
    """By which shares so many windows are drawn of tasks of these weights: theirs, but of each task in play at least
    LEAST_WINDOWS, or an equal part where there are not as many. What is measured counts by the weights all the same."""
    in_play_T = weights_T > 0
    least = min(LEAST_WINDOWS, windows // int(in_play_T.sum())) / windows
    shares_T, few_T = weights_T, np.zeros(len(weights_T), bool)
    while (
        light_T := in_play_T & ~few_T & (shares_T < least * (1 - 1e-9))
    ).any():  # the others make room, and may get light by it
        few_T |= light_T
        heavy_T = np.where(few_T, 0.0, weights_T)
        shares_T = np.where(few_T, least, heavy_T / heavy_T.sum() * (1 - least * few_T.sum()))
    return np.where(in_play_T, shares_T, 0.0)
