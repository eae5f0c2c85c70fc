"""pretraingym train-console: learn a console policy on proxies; save it as policy.safetensors and policy.json."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import tyro
from gymnasium.vector import AutoresetMode

from ...env.gym_envs.vector_env import ConsoleVectorEnv
from ...env.scenarios.distribution import PLAIN, ScenarioDistribution
from ...env.settings.setting import Setting
from ...env.stopwatch import added
from ...lm.corpus.corpus import Corpus
from ...lm.io.errors import InputError
from ...policies.base import Policy
from ...policies.learners.start import checked_start
from ...policies.learners.table import LEARNERS, learner_named
from ...policies.named import learned_hashes
from ...policies.registry import make_policy
from ...policies.saved.card import PolicyCard
from ...policies.saved.learned import LearnedPolicy
from ..progress import Progress
from ..runs.preflight import check_seed, preflight_task
from ..runs.run_corpus import corpus_of_run
from ..runs.run_folder import RunFolder

if TYPE_CHECKING:
    from ...policies.saved.ranges import Ranges


@dataclass(frozen=True)
class LearnConfig:
    """How a console policy is learned."""

    algorithm: Annotated[
        str,
        tyro.conf.arg(
            metavar="{" + ",".join(LEARNERS) + "}",
            help="the learner; " + "; ".join(f"{learner.name}: {learner.about}" for learner in LEARNERS.values()),
        ),
    ] = "response"
    start: str = "lift"
    """what the learners that take a start begin as: agreement or lift, with settings as in lift:strength=0.2, or a
    policy that was learned from one of them, by its folder or name"""
    episodes: int = 96
    """proxy runs to use at most, without the controls; only whole rounds of groups x group_size are run"""
    groups: int = 4
    """scenarios that run at a time"""
    group_size: int = 4
    """runs of each scenario, which differ in their weights alone: 4 suit response, 8 suit cma-es, which ranks them"""
    distribution: ScenarioDistribution = field(default_factory=lambda: ScenarioDistribution(vary=PLAIN))
    seed: int = 0
    """seed of the scenarios, the proxies and the learner"""

    def __post_init__(self) -> None:
        learner = learner_named(self.algorithm)
        if self.groups < 1 or self.group_size < 4:
            raise InputError(
                f"{self.groups} groups of {self.group_size} runs given, expected at least 1 group of at least 4"
            )
        check_seed(self.seed)
        if self.distribution.split != "train":
            raise InputError(
                f"scenarios to learn on are of the {self.distribution.split} split, expected train: the others are for "
                "judging what was learned"
            )
        checked_start(make_policy(self.start))
        if self.start != "lift" and not learner.takes_start:
            raise InputError(f"start is '{self.start}', but {self.algorithm} starts from nothing: leave it out")
        if self.episodes < self.groups * self.group_size:
            raise InputError(
                f"{self.episodes} episodes are less than one round of {self.groups} x {self.group_size}; give more"
            )


@dataclass(frozen=True)
class TrainConsoleConfig:
    """Learn a console policy on small proxy models, and save it as policy.safetensors and policy.json."""

    preset: Literal["quick", "long"] = "quick"
    """what the other fields start from: the quickstart's learning, or one with ten times as many episodes"""
    folder: Path = Path("runs/console")
    """folder of the run, in which the policy is saved"""
    corpus: Path | None = None
    """folder of a built corpus (default: the installed packages' text)"""
    more_corpora: tuple[Path, ...] = ()
    """further corpora to learn on: rounds of episodes take the corpora in turn. They must have the same
    agents and size of vocabulary, as corpora have that were built with the same flags, --practice among them"""
    proxy: Setting = field(default_factory=Setting)
    learn: LearnConfig = field(default_factory=LearnConfig)
    resume: bool = False
    """continue the run in the folder"""


def train_console(
    folder: RunFolder, corpora: Sequence[Corpus], proxy: Setting, config: LearnConfig, progress: Progress
) -> dict[str, Any]:
    """Learn, log a row for each update, save the policy, and return what it cost: numbers of episodes and of controls,
    the proxy's parameters, seconds by part of the loop. The rounds of earlier sessions are read from the journal.
    InputError: the corpora have other agents than the first.

    Every episode is recorded in episodes.jsonl. One that ran twice because of a kill may be there twice, with the same
    config, seed and weights, which does no harm."""
    from ...policies.learners.learning import learn
    from ...policies.saved.storage import save_policy
    from ...policies.sb3.in_turn import EnvsInTurn

    envs = [_environment(corpus, folder, proxy, config) for corpus in corpora]
    env, rounds = EnvsInTurn(envs), config.episodes // (config.groups * config.group_size)
    watches = [env.runs.episode.stopwatch for env in envs]
    begun = folder.load_checkpoint("learn") or {"rounds": np.array(0), **watches[0].state_dict()}
    watches[0].load_state_dict(begun)

    def on_update(row: dict[str, float]) -> None:
        if row["update"] > begun["rounds"]:  # an earlier session logged the others
            folder.log([{"stage": "learn", **row}])
            folder.save_checkpoint("learn", {"rounds": np.array(row["update"]), **added(watches).state_dict()})
        progress.update(row["episodes"], rounds * env.num_envs, best_return=row["return_best"])

    def on_interval(episodes: float) -> None:
        progress.update(int(episodes), rounds * env.num_envs, tokens_per_s=added(watches).tokens_per_s)

    start = checked_start(make_policy(config.start))
    actor, ranges = learn(
        config.algorithm, env, rounds, config.seed, folder.path / "journal", on_update, on_interval, start
    )
    card = _card(envs[0], corpora, proxy, config, rounds, ranges, start)
    save_policy(folder.path, LearnedPolicy(actor, card))
    return {
        "episodes": rounds * env.num_envs,
        "controls": rounds * config.groups,
        "corpora": len(corpora),
        "proxy_params": envs[0].runs.episode.backend.num_params,
        "profile_s": added(watches).seconds,
    }


def _environment(corpus: Corpus, folder: RunFolder, proxy: Setting, config: LearnConfig) -> ConsoleVectorEnv:
    return ConsoleVectorEnv(
        config.groups * config.group_size,
        corpus=corpus.path,
        setting=proxy,
        group_size=config.group_size,
        distribution=config.distribution,
        autoreset_mode=AutoresetMode.DISABLED,
        records=folder.path / "episodes.jsonl",
    )


def _card(
    env: ConsoleVectorEnv,
    corpora: Sequence[Corpus],
    proxy: Setting,
    config: LearnConfig,
    rounds: int,
    ranges: "Ranges",
    start: Policy,
) -> PolicyCard:
    """The card of what was learned in so many rounds, with what the policy that it started from had learned."""
    from ...policies.saved.ranges import widest

    known = start.card if isinstance(start, LearnedPolicy) else None
    clock = proxy.episode
    return PolicyCard(
        algorithm=config.algorithm,
        agents=env.agent_names,
        proxies=f"{env.runs.episode.backend.num_params} parameters, {clock.total_steps} steps of "
        f"{clock.batch_windows} windows of {proxy.context} tokens, {rounds * env.num_envs} episodes",
        corpus=" ".join(corpus.fingerprint for corpus in corpora),
        command=" ".join(["pretraingym", *sys.argv[1:]]),
        versions={name: version(name) for name in ("torch", "transformers", "stable-baselines3", "gymnasium")},
        ranges=widest(ranges, known.ranges) if known else ranges,
        proxy_runs=rounds * (env.num_envs + config.groups) + (known.proxy_runs if known else 0),
    )


def _further(path: Path, first: Corpus, proxy: Setting, agents: tuple[str, ...]) -> Corpus:
    """A corpus to learn on beside the first. InputError: it has another size of vocabulary, or other agents than
    `agents`, the first's."""
    corpus = Corpus.open(path, verify=True)
    if corpus.vocab_size != first.vocab_size:
        raise InputError(
            f"{path} has a vocabulary of {corpus.vocab_size} tokens, expected {first.vocab_size}, as the first corpus: "
            "nats per token mean the same only then; build it with the same --vocab-size or --tokenizer"
        )
    if (found := preflight_task(proxy, corpus).agent_names) != agents:
        raise InputError(
            f"{path} has the agents {', '.join(found)}, expected {', '.join(agents)}, as the first corpus: build the "
            "corpora with the same --practice, --agents and names of --reference, or name the agents in --proxy.agents"
        )
    return corpus


def main(config: TrainConsoleConfig) -> dict[str, Any]:
    """Learn, unless an earlier session has; return the policy's folder and what it cost."""
    with Progress() as progress:
        corpus = corpus_of_run(config.folder, config.corpus, progress)
        agents = preflight_task(config.proxy, corpus).agent_names
        corpora = [corpus, *(_further(path, corpus, config.proxy, agents) for path in config.more_corpora)]
        start = checked_start(make_policy(config.learn.start))
        learner = learner_named(config.learn.algorithm)
        learner.start_actor(config.proxy.episode.action_map, agents, 0, start)  # refuses what it cannot be
        hashes = learned_hashes({"start": start})
        hashes |= {str(each.path): each.fingerprint for each in corpora[1:]}
        folder = RunFolder(config.folder, config, config.resume, corpus, learned=hashes)
        progress.stage("learn on proxies", 240)
        result = folder.stage("learn", lambda: train_console(folder, corpora, config.proxy, config.learn, progress))
    return {"policy": str(config.folder), **result, "wall_s": round(folder.seconds["learn"], 1)}
