"""pretraingym pretrain: a policy drives the pretraining of one model, which becomes a transformers folder."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..env.episode_config import EpisodeConfig
from ..env.scenario import Scenario
from ..env.setting import Setting
from ..env.task import Task
from ..lm.errors import InputError
from ..lm.files import nearest
from ..policies.registry import make_policy
from .preflight import check_seed, preflight
from .progress import Progress
from .run_corpus import run_corpus
from .run_folder import RunFolder
from .target import TargetRun, bits_per_byte, save_model


def quick_target() -> Setting:
    """The quickstart's target: 8.3 times the proxy's parameters on nearly as many tokens (154k). One wide layer: at
    this budget 3.64 nats in 8 s, where 144 wide with two layers has 3.68 in 18 s."""
    clock = EpisodeConfig(num_intervals=6, steps_per_interval=24, batch_windows=32, warmup_steps=6)
    return Setting(width=192, num_layers=1, episode=clock)


@dataclass(frozen=True)
class PretrainConfig:
    """Let a policy drive the pretraining of one model, and save it as a transformers folder."""

    policy: str
    """a rule's name (natural, lift, agreement, or an agent's), a shipped policy (ten-tasks), or a folder or file"""
    preset: Literal["quick", "5m"] = "quick"
    """where the other fields start from: the quickstart's target of 0.6 million parameters, or one of 5 million"""
    folder: Path = Path("runs/pretrain")
    """where the run goes; the model is in its folder model"""
    corpus: Path | None = None
    """folder of a built corpus (default: the installed packages' text)"""
    target: Setting = field(default_factory=quick_target)
    reference: dict[str, float] = field(default_factory=dict)
    """weight of each reference task, as in: prose 3 code 1 (default: all the same)"""
    seed: int = 0
    """of the model's weights and the order of the text"""
    resume: bool = False
    """go on with the run in the folder"""

    def __post_init__(self) -> None:
        check_seed(self.seed)


def check_reference(reference: dict[str, float], tasks: tuple[str, ...]) -> None:
    """InputError: a task the corpus does not have, or weights that are no weights."""
    for task in reference:
        if task not in tasks:
            raise InputError(f"unknown reference task '{task}'; {nearest(task, tasks)}")
    if reference and not (min(reference.values()) >= 0 and 0 < sum(reference.values()) < float("inf")):
        raise InputError(f"reference weights are {reference}, expected numbers from 0 up, not all of them 0")


def whole_corpus(setting: Setting, task: Task, reference: dict[str, float]) -> Scenario:
    """The scenario of a real run: all there is to draw from, and the reference tasks that the user cares for."""
    check_reference(reference, task.tasks)
    weights = reference or dict.fromkeys(task.tasks, 1.0)
    total = sum(weights.values())
    pool = float(task.cells.tokens_C.sum()) / setting.budget_tokens
    return Scenario(tuple((name, weight / total) for name, weight in weights.items()), pool)


def main(config: PretrainConfig) -> dict[str, Any]:
    """Train, save model and tokenizer under `folder`/model, return the test losses."""
    with Progress() as progress:
        progress.stage("corpus", 90)
        corpus = run_corpus(config.folder, config.corpus, progress)
        task = preflight(config.target, corpus)
        policy = make_policy(config.policy, task.agent_names)
        policy.reset(task.agent_names, 1)
        run = TargetRun(task, config.target, [policy], whole_corpus(config.target, task, config.reference), config.seed)
        folder = RunFolder(config.folder, config, config.resume, corpus)
        progress.stage(f"pretrain under {policy.name}", None)

        def work() -> dict[str, Any]:
            losses, learner, seconds = run.run(folder, "pretrain", progress)
            save_model(learner, 0, task, config.folder / "model")
            return {
                "test_loss_nats": losses[0],
                "test_bits_per_byte": bits_per_byte(task, losses[0]),
                "target_params": learner.num_params,
                "profile_s": seconds,
            }

        result = folder.stage("pretrain", work)
    return {
        "model": str(config.folder / "model"),
        "policy": policy.name,
        **result,
        "wall_s": folder.seconds["pretrain"],
    }
