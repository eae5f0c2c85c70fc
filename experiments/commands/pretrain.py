"""pretraingym pretrain: a policy drives the pretraining of one model, which is saved as a transformers folder."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...env.console.category_use import CategoryUse
from ...env.console.feasibility import check_limits, limit_lines
from ...env.console.limits import EPOCHS, Limit, read_limits
from ...env.episode_config import EpisodeConfig
from ...env.recording.config_record import CorpusUsed
from ...env.scenarios.pool import whole_corpus_scenario
from ...env.scenarios.task import Task
from ...env.settings.setting import Setting
from ...lm.corpus.corpus import Corpus
from ...lm.io.errors import InputError
from ...lm.models.engine_config import EngineConfig
from ...policies.base import Policy
from ...policies.named import learned_hashes
from ...policies.registry import make_policy
from ...policies.trials.store import kept
from ...policies.trials.trial import Trial, TrialConfig, TrialResult
from ..analysis.statistics import NATURAL
from ..progress import Progress
from ..reports.pretrain_report import write_pretrain_report
from ..runs import target_gain
from ..runs.model_folder import bits_per_byte, check_generation, model_card, retell_gain, save_model, usable_tokenizer
from ..runs.plan import plan, plan_lines
from ..runs.preflight import check_policies, check_seed, preflight_target
from ..runs.pretraining import Pretraining, as_result
from ..runs.run_corpus import RECORD, corpus_of_run, read_checked
from ..runs.run_folder import CONFIG, RunFolder, check_folder

if TYPE_CHECKING:
    from ...lm.target.checkpoints import Checkpoint, Checkpoints


def quick_target() -> Setting:
    """The quickstart's target: 8.3 times the proxy's parameters on nearly as many tokens (154k). One wide layer: at
    this budget 3.64 nats in 8 s, where 144 wide with two layers has 3.68 in 18 s."""
    clock = EpisodeConfig(num_intervals=6, steps_per_interval=24, batch_windows=32, warmup_steps=6)
    return Setting(width=192, num_layers=1, episode=clock)


Preset = Literal["quick", "5m", "125m", "350m", "760m", "1b3"]
RUN_STAGE = "pretrain"  # of the run's folder, after the trial's
TESTED = "tested"  # in its result: the losses of all windows of the test part, and of which corpus they are
MAY_CHANGE = (  # fields of the configuration that may differ when a run goes on
    *(f"engine.{name}" for name in ("pass_sequences", "parallel", "compile", "save_memory", "attention")),
    "engine.liger",  # of runs that earlier versions began: kernels that computed the same
    *("save_every_s", "keep", "gpus", "corpus", "drop_removed", "trial", "no_trial", "anyway", "beside"),
)


@dataclass(frozen=True)
class PretrainConfig:
    """Let a policy drive the pretraining of one model, and save it as a transformers folder."""

    policy: str
    """a rule's name (natural, lift, agreement, or an agent's name), a shipped policy (many-tasks, ten-tasks), or the
    folder or file of a learned policy; one with sure: before it, as sure:many-tasks, selects nothing where lift would
    not"""
    preset: Preset = "quick"
    """what the other fields start from: the quickstart's target of 0.6 million parameters, one of 5 million, or, for
    GPUs, one of 125 million to 1.3 billion (1b3)"""
    folder: Path = Path("runs/pretrain")
    """folder of the run; the model is saved in its folder model"""
    corpus: Path | None = None
    """folder of a built corpus (default: the installed packages' text)"""
    target: Setting = field(default_factory=quick_target)
    engine: EngineConfig = field(default_factory=EngineConfig)
    reference: dict[str, float] = field(default_factory=dict)
    """weight of each reference task, as in: prose 3 code 1 (default: equal weights)"""
    epochs: tuple[str, ...] = ()
    """hard limits on repetition, LABEL=CATEGORY:EPOCHS as in domain=wikipedia:4 topic=web:1.5: the run draws at most so
    many times the category's tokens, and no text of it more often (rounded up), whatever the policy wants"""
    share: tuple[str, ...] = ()
    """hard limits from below, LABEL=CATEGORY:SHARE as in domain=code:0.1: at least this share of the run's tokens is of
    the category, at every decision as far as whole windows allow and exactly at the end, whatever the policy wants"""
    seed: int = 0
    """seed of the model's weights and of the order of the text"""
    save_every_s: float = 600.0
    """seconds between checkpoints; one more is saved at each decision"""
    keep: int = 2
    """how many of the newest checkpoints to keep, beside the one with the lowest validation loss"""
    dry_run: bool = False
    """print parameters, tokens, FLOPs, memory and hours, and train nothing"""
    gpus: int = 1
    """how many GPUs the dry run assumes"""
    resume: bool = False
    """continue the run in the folder, also if its corpus was built anew with more documents; another folder of it is
    named with --corpus"""
    drop_removed: bool = False
    """continue also if documents of the corpus are gone"""
    trial: TrialConfig = field(default_factory=TrialConfig)
    no_trial: bool = False
    """try nothing before; otherwise the policy is tried against natural on proxies of this corpus, and one that loses
    there is refused. That takes once, on two cores, about a minute with the corpus's default vocabulary of 512 tokens,
    40 minutes with 32 thousand and 2.6 hours with 128 thousand (estimates; --dry-run tells yours)"""
    anyway: bool = False
    """let the policy drive even if it lost to natural in the trial"""
    beside: Literal["natural"] | None = None
    """natural: train the same target under natural too, with the same seed, in the run's folder natural, and tell the
    policy's true gain on the test part"""

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if self.gpus < 1:
            raise InputError(f"gpus is {self.gpus}, expected at least 1")
        if self.keep < 1 or not self.save_every_s > 0:
            raise InputError(
                f"keep {self.keep} and save_every_s {self.save_every_s} given, expected 1 or more and above 0"
            )
        if self.beside == self.policy:
            raise InputError("natural given as the policy and beside itself, expected another policy: leave one out")


def main(config: PretrainConfig) -> dict[str, Any]:
    """Try the policy on proxies, train, save model, tokenizer and card in `folder`/model, and return the test losses
    and what is known of the gain; with natural beside it, if that is wanted. A dry run returns its plan."""
    check_policies([config.policy], config.folder, config.corpus)
    if config.dry_run:
        corpus = Corpus.open(config.corpus) if config.corpus else None
        told = {"trial": target_gain.trial_plan(config.trial, corpus)} if _is_tried(config) else {}
        planned = plan(config.target, config.engine, corpus, config.gpus)
        if config.beside:  # natural is probed and evaluated as the policy is, so it costs the same once more
            told["beside"] = {"policy": config.beside, **{name: planned[name] for name in ("train_flops", "hours")}}
        told |= _planned_limits(config, corpus)
        print("\n".join(plan_lines(planned)))
        return planned | told
    result, task = _run(config)
    tested = result.pop(TESTED, None)  # on rank 0
    folder = config.folder / target_gain.BESIDE
    if tested:
        natural = target_gain.finished_beside(folder, RUN_STAGE) if config.policy != NATURAL else {}
        if TESTED in natural and natural[TESTED]["corpus"] == tested["corpus"] == task.corpus.fingerprint:
            _tell_gain(config, task, result, tested, natural)
        write_pretrain_report(config.folder, result)
    if config.beside:
        _check_tested(config, task, tested)
        used = read_checked(config.folder / RECORD, CorpusUsed)
        natural, _ = _run(replace(config, policy=NATURAL, folder=folder, beside=None, corpus=Path(used.path)))
        if tested and TESTED in natural:
            _tell_gain(config, task, result, tested, natural)
            write_pretrain_report(config.folder, result)
    return result


def _check_tested(config: PretrainConfig, task: Task, tested: dict[str, Any] | None) -> None:
    """Before natural is paid for. InputError: nothing that it comes to could be set beside the run's, on rank 0; the
    other ranks exit without a message."""
    from ...lm.target.ranks import Ranks

    def check() -> None:
        if tested is None or tested["corpus"] != task.corpus.fingerprint:
            held = "no losses by window, as those of earlier versions" if tested is None else "losses on another corpus"
            raise InputError(
                f"the finished run in {config.folder} holds {held}, expected those on the corpus as it is now, for "
                "natural to be set beside it: run both anew in another --folder"
            )

    Ranks(config.target.device).on_first(check)


def _tell_gain(
    config: PretrainConfig, task: Task, result: dict[str, Any], tested: dict[str, Any], natural: dict[str, Any]
) -> None:
    """Put the gain over natural's run into the result and on the model's card, and tell it."""
    scenario = whole_corpus_scenario(task, config.target.budget_tokens, config.reference)
    asked = dict(scenario.reference)
    gain = target_gain.gain_beside(task, asked, tested, natural[TESTED])
    result["beside"] = {"test_loss_nats": natural["test_loss_nats"], **target_gain.gain_facts(gain)}
    elsewhere = target_gain.harm_elsewhere(asked, result["test_loss_nats"], natural["test_loss_nats"])
    result["true_gain"] = "; ".join(filter(None, [target_gain.known_gain(gain), elsewhere]))
    Progress().say(result["true_gain"])
    retell_gain(config.folder / "model", result["true_gain"])


def _run(config: PretrainConfig) -> tuple[dict[str, Any], Task]:
    """The result of one run, which on all ranks but the first may be short, and its task."""
    from ...lm.target.checkpoints import Checkpoints
    from ...lm.target.ranks import Ranks

    ranks = Ranks(config.target.device)
    with Progress(None if ranks.first else open(os.devnull, "w")) as progress:

        def opened() -> tuple[Corpus, Task]:
            corpus = corpus_of_run(config.folder, config.corpus, progress, verify=ranks.first, may_change=True)
            return corpus, config.target.task(corpus)

        corpus, task = ranks.on_first(opened) or opened()  # rank 0 builds, checks and tokenises what the others open
        limits = _limits(config, task)
        policy = make_policy(config.policy, task.agent_names)
        policy.reset(task.agent_names, 1)
        scenario = whole_corpus_scenario(task, config.target.budget_tokens, config.reference)
        target, origin = preflight_target(config.target, task, config.engine), config.target.origin
        tokenizer = usable_tokenizer(task, origin or config.target.tokenizer)
        if origin is not None:
            check_generation(origin)
        checkpoints = Checkpoints(config.folder / "checkpoints", ranks, config.keep)
        trial = partial(
            Trial.before, task, config.target.episode, config.policy, policy, config.trial, config.reference, limits
        )
        folder, found, tried = _open_run_folder(config, corpus, checkpoints, policy, trial, progress)
        model = {"model": str(config.folder / "model"), "policy": config.policy}
        if ranks.broadcast(np.array([folder is not None and RUN_STAGE in folder.stages]))[0] and not folder:
            return model, task  # finished earlier
        progress.stage(f"pretrain under {config.policy}", None)
        run = Pretraining(
            task,
            config.target.episode,
            target,
            policy,
            scenario,
            config.seed,
            checkpoints,
            config.save_every_s,
            limits=limits,
            drop_removed=config.drop_removed,
        )

        def work() -> dict[str, Any]:
            losses = run.run(found, folder, progress)
            result = as_result(losses, target, run.episode)
            result["test_bits_per_byte"] = bits_per_byte(task, losses)
            drawn = run.drawn()
            result |= _kept(limits, drawn)
            if tried is not None:
                flops = 6.0 * target.num_params * config.target.budget_tokens
                result["trial"] = target_gain.trial_facts(tried, config.trial, flops)
            if config.policy != NATURAL:
                result["true_gain"] = target_gain.unknown_gain()
            card = model_card(task, config.policy, policy, scenario, config.seed, result, drawn, origin)
            save_model(target, tokenizer, config.folder / "model", card, origin)
            return result | ({TESTED: run.tested} if folder else {})  # for rank 0, which has the folder

        before = signal.signal(signal.SIGTERM, lambda *_: setattr(run, "told_to_stop", True))  # a scheduler's notice
        try:
            before_s = 0.0 if found is None else found.about["elapsed_s"]
            result = folder.stage(RUN_STAGE, work, elapsed_before_s=before_s) if folder else work()
        finally:
            signal.signal(signal.SIGTERM, before)
            if folder:
                folder.close()
    return {**model, **result, "wall_s": folder.seconds[RUN_STAGE] if folder else None}, task


def _is_tried(config: PretrainConfig) -> bool:
    """Whether there is anything to try before the run."""
    return not config.no_trial and config.policy != NATURAL


def _began_with_trial(path: Path, folder: RunFolder) -> bool:
    """Whether the run in this folder began after a trial whose outcome it does not hold yet."""
    return target_gain.TRIAL_STAGE not in folder.stages and not read_checked(path / CONFIG, dict[str, Any]).get(
        "no_trial", True
    )


def _limits(config: PretrainConfig, task: Task) -> tuple[Limit, ...]:
    """The limits of the run. InputError: they are not understood, or no run of this budget can keep them."""
    limits = read_limits(config.epochs, config.share, task.layout.columns)
    if limits:
        clock, cells = config.target.episode, task.cells
        windows = clock.total_steps * clock.batch_windows
        check_limits(limits, task.layout.columns, cells, cells.windows_C, task.context, windows)
    return limits


def _planned_limits(config: PretrainConfig, corpus: Corpus | None) -> dict[str, Any]:
    """What a dry run tells of the limits: by limit, what it comes to. Empty without any."""
    if not config.epochs and not config.share:
        return {}
    if corpus is None:
        raise InputError("limits given to a dry run without a corpus, expected the corpus they are about: add --corpus")
    task = config.target.task(corpus)
    limits = _limits(config, task)
    told = limit_lines(limits, task.layout.columns, task.cells, config.target.budget_tokens)
    return {"limits": dict(zip(map(str, limits), told, strict=True))}


def _kept(limits: tuple[Limit, ...], drawn: dict[str, list[CategoryUse]]) -> dict[str, Any]:
    """What the last line says of the limits: by limit, the epochs or share that the run came to. Empty without any."""
    if not limits:
        return {}
    uses = {(use.label, use.category): use for of_label in drawn.values() for use in of_label}
    came_to = {}
    for limit in limits:
        use = uses.get((limit.label, limit.category))  # None: the corpus has no text of it
        came_to[str(limit)] = 0.0 if use is None else use.epochs if limit.kind == EPOCHS else use.share
    return {"limits": came_to}


def _open_run_folder(
    config: PretrainConfig,
    corpus: Corpus,
    checkpoints: "Checkpoints",
    policy: Policy,
    trial: Callable[[], Trial],
    progress: Progress,
) -> tuple[RunFolder | None, "Checkpoint | None", TrialResult | None]:
    """The run's folder, once the policy has been tried, and the trial's outcome, on rank 0 alone; on all ranks the
    checkpoint to continue from. InputError: RunFolder's, or the policy loses in the trial, on rank 0; the other ranks
    exit without a message."""
    newest = cache(checkpoints.newest)  # read once, when the folder is locked

    def metrics_bytes() -> int:
        found = newest()
        return 0 if found is None else int(found.about["metrics_bytes"])

    def opened() -> tuple[RunFolder, TrialResult | None]:
        hashes, tried = learned_hashes({"policy": policy}), None
        check_folder(config.folder, config, config.resume, MAY_CHANGE, hashes)
        goes_on = (config.folder / CONFIG).exists()
        if _is_tried(config) and not goes_on:
            tried = target_gain.try_policy(trial(), config.anyway, progress)
        folder = RunFolder(config.folder, config, config.resume, corpus, metrics_bytes, MAY_CHANGE, hashes)
        if _is_tried(config) and goes_on and _began_with_trial(config.folder, folder):
            tried = kept(trial())  # it was killed between the trial and the run
        return folder, target_gain.trial_in(folder, tried)

    ranks = checkpoints.ranks
    folder, tried = ranks.on_first(opened) or (None, None)
    return folder, checkpoints.shared(newest() if ranks.first else None), tried
