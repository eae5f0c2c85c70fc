"""pretraingym train-console: learn a console policy on proxies and write it as policy.safetensors + policy.json."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from ..env.setting import Setting
from ..env.vector_env import ConsoleVectorEnv
from ..lm.errors import InputError
from ..policies.card import PolicyCard
from ..policies.learned import LearnedPolicy
from ..policies.learners import learn
from ..policies.storage import save_policy
from .progress import Progress
from .run_folder import RunFolder


@dataclass(frozen=True)
class LearnConfig:
    """`algorithm`: the learner; `episodes`: proxy runs it may use, controls apart; `groups`: scenarios at a time, each
    with `group_size` runs that differ in their weights alone; `seed`: of scenarios, proxies and learner."""

    algorithm: Literal["cma-es", "ppo"] = "cma-es"
    episodes: int = 96
    groups: int = 2
    group_size: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if self.episodes < self.groups * self.group_size:
            raise InputError(
                f"{self.episodes} episodes are less than one round of {self.groups} x {self.group_size}; give more"
            )


@dataclass(frozen=True)
class TrainConsoleConfig:
    """Learn a console policy on proxies. `folder`: where the policy and its run go; `corpus`: a built corpus (default:
    the installed packages' text); `resume`: go on with the run in `folder`."""

    folder: Path = Path("runs/console")
    corpus: Path | None = None
    proxy: Setting = field(default_factory=Setting)
    learn: LearnConfig = field(default_factory=LearnConfig)
    resume: bool = False


def train_console(
    folder: RunFolder, corpus: Path | None, proxy: Setting, config: LearnConfig, progress: Progress
) -> dict[str, Any]:
    """Learn, log an update a row, save the policy; returns the cost of it (episodes with and without controls, proxy
    parameters, seconds of an interval by part). An earlier session's episodes come out of the journal."""
    env = ConsoleVectorEnv(
        config.groups * config.group_size, corpus=corpus, setting=proxy, group_size=config.group_size
    )
    updates = -(-config.episodes // env.num_envs)

    def on_update(row: dict[str, float]) -> None:
        folder.log([{"stage": "learn", **row}])
        progress.update(int(row["episodes"]), updates * env.num_envs, best_return=row["return_best"])

    actor, ranges = learn(config.algorithm, env, updates, config.seed, folder.path / "journal", on_update)
    episode = env.core.episode
    card = PolicyCard(
        algorithm=config.algorithm,
        agents=env.agent_names,
        proxies=f"{episode.learner.num_params} parameters, {proxy.episode.total_steps} steps of "
        f"{proxy.episode.batch_windows} windows of {proxy.context} tokens, {updates * env.num_envs} episodes",
        corpus=env.core.task.corpus.fingerprint,
        command=" ".join(["pretraingym", *sys.argv[1:]]),
        versions={name: version(name) for name in ("torch", "transformers", "stable-baselines3", "gymnasium")},
        ranges=ranges,
    )
    save_policy(folder.path, LearnedPolicy(actor, card))
    return {
        "episodes": updates * env.num_envs,
        "controls": updates * config.groups,
        "proxy_params": episode.learner.num_params,
        "profile_s": episode.seconds,
    }


def main(config: TrainConsoleConfig) -> dict[str, Any]:
    folder = RunFolder(config.folder, config, config.resume)
    with Progress() as progress:
        progress.stage("learn on proxies", 240)
        work: Callable[[], Any] = lambda: train_console(folder, config.corpus, config.proxy, config.learn, progress)  # noqa: E731
        result = folder.stage("learn", work)
    return {"policy": str(config.folder), **result, "wall_s": round(sum(folder.seconds.values()), 1)}
