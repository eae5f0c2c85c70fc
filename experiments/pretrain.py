"""pretraingym pretrain: a policy drives the pretraining of one model, which becomes a transformers folder."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..env.episode_config import EpisodeConfig
from ..env.scenario import Scenario
from ..env.setting import Setting
from ..lm.errors import InputError
from ..policies.registry import make_policy
from .progress import Progress
from .run_folder import RunFolder
from .target import TargetRun, save_model


def target_setting() -> Setting:
    """The quickstart's target: 8.3 times the proxy's parameters on nearly as many tokens (154k). One wide layer: at
    this budget 3.64 nats in 8 s, where 144 wide with two layers has 3.68 in 18 s."""
    clock = EpisodeConfig(num_intervals=6, steps_per_interval=24, batch_windows=32, warmup_steps=6)
    return Setting(width=192, num_layers=1, episode=clock)


@dataclass(frozen=True)
class PretrainConfig:
    """Pretrain one model. `policy`: a name, or the folder or file of a learned one; `corpus`: a built corpus (default:
    the installed packages' text); `reference`: weight of each reference task, empty = all equal; `resume`: go on with
    the run in `folder`."""

    policy: str
    folder: Path = Path("runs/pretrain")
    corpus: Path | None = None
    target: Setting = field(default_factory=target_setting)
    reference: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    device: str = "cpu"
    resume: bool = False


def whole_corpus(setting: Setting, tokens: float, tasks: tuple[str, ...], reference: dict[str, float]) -> Scenario:
    """The scenario of a real run: all there is to draw from, and the reference tasks that the user cares for."""
    episode = setting.episode
    budget = episode.total_steps * episode.batch_windows * setting.context
    weights = reference or dict.fromkeys(tasks, 1.0)
    total = sum(weights.values())
    if not total > 0:
        raise InputError(f"reference weights are {reference}, expected positive numbers")
    return Scenario(tuple((task, weight / total) for task, weight in weights.items()), tokens / budget)


def main(config: PretrainConfig) -> dict[str, Any]:
    """Train, save model and tokenizer under `folder`/model, return the test losses."""
    task = config.target.open_task(config.corpus)
    policy = make_policy(config.policy, task.agent_names)
    scenario = whole_corpus(config.target, task.cells.tokens_C.sum(), task.tasks, config.reference)
    folder = RunFolder(config.folder, config, config.resume)
    run = TargetRun(task, config.target, [policy], scenario, config.seed, config.device)
    with Progress() as progress:
        progress.stage(f"pretrain under {policy.name}", None)

        def work() -> dict[str, Any]:
            losses, learner, seconds = run.run(folder, "pretrain", lambda tokens: progress.update(tokens, run.budget))
            save_model(learner, 0, task, config.folder / "model")
            return {"test_loss_nats": losses[0], "target_params": learner.num_params, "profile_s": seconds}

        result = folder.stage("pretrain", work)
    return {
        "model": str(config.folder / "model"),
        "policy": policy.name,
        **result,
        "wall_s": folder.seconds["pretrain"],
    }
