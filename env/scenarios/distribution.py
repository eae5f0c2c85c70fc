"""What scenarios are drawn from: one distribution, with a split each for learning, for comparing and for claims."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ...lm.ingest.held_out import default_tasks
from ...lm.io.errors import InputError
from ...lm.io.files import nearest
from ..agents.match import PREFIX
from .scenario import Scenario
from .task import Task

SPLITS = ("train", "development", "sealed")
ALL = ("reference", "pool", "text", "agents", "rate")  # what scenarios may vary in
PLAIN = ("reference", "pool")  # these always vary; with these alone the text and the agents are the task's
SCENARIO = 2**31  # keeps these random streams apart from an episode's, which have the same seed
DOMAIN = "domain"  # the label column whose categories may be missing
Rng = np.random.Generator
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ScenarioDistribution:
    """What the scenarios of an environment or a comparison are drawn from. Each is a function of its seed."""

    split: Literal["train", "development", "sealed"] = "train"
    """train: to learn policies on; development: to choose between policies; sealed: used once, for a claim. Splits
    share no seeds"""
    vary: tuple[str, ...] = ALL
    """what scenarios vary in: reference and pool, and any of text, agents and rate"""
    references: tuple[str, ...] = ()
    """the reference tasks they may have (default: all of the corpus, but for a random share that was held out)"""

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise InputError(f"split is '{self.split}', expected one of {', '.join(SPLITS)}")
        if set(self.vary) - set(ALL) or not set(PLAIN) <= set(self.vary):
            raise InputError(
                f"scenarios vary in {', '.join(self.vary)}; expected {', '.join(PLAIN)} and any of {', '.join(ALL[2:])}"
            )

    def reference_tasks(self, task: Task) -> tuple[str, ...]:
        """The reference tasks that scenarios may have, in the corpus's order. InputError: there is none of a name."""
        for name in self.references:
            if name not in task.reference_tasks:
                raise InputError(f"references name '{name}'; {nearest(name, task.reference_tasks)}")
        if not self.references:
            return default_tasks(task.reference_tasks)
        return tuple(name for name in task.reference_tasks if name in self.references)

    def run_seed(self, base_seed: int, group: int, number: int) -> int:
        """The seed of episode `number` of seed group `group` under `base_seed`."""
        entropy = [base_seed, SPLITS.index(self.split), group, number]
        return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))

    def numbered(self, task: Task, base_seed: int, number: int) -> tuple[Scenario, int]:
        """Scenario `number` under `base_seed`, as an environment's first seed group has it, and the seed of its run."""
        seed = self.run_seed(base_seed, 0, number)
        return self.sample(task, seed), seed

    def sample(self, task: Task, seed: int) -> Scenario:
        """The scenario of `seed`. Each thing that varies is drawn in the same way whatever else varies. All ranges are
        assumed.

        reference: half of the scenarios have one reference task, half a mixture of three or, if there are fewer, of all
        (Dirichlet(2)). pool: log-uniform from 1.5 to 100 budgets; with `text`, of such a size that the budget would be
        .3 to 30 epochs of its useful part, log-uniform, if nothing else were drawn. text: useful share of the pool from
        .3% to 30%, log-uniform, junk share from 0 to 60%, uniform; in three of ten scenarios the text of some domains
        is missing. agents: `agent_roles`. rate: half to twice the peak learning rates, log-uniform. Runs of a scenario
        have one pool."""
        streams = {
            name: np.random.default_rng([seed, SCENARIO, index]) for index, name in enumerate(ALL) if name in self.vary
        }
        reference = _reference(self.reference_tasks(task), streams["reference"])
        if "text" not in self.vary:
            fields: dict[str, Any] = {"pool_budgets": _log_uniform(streams["pool"], 1.5, 100.0)}
        else:
            rng = streams["text"]
            useful = _log_uniform(rng, 0.003, 0.3)
            fields = {
                "pool_budgets": 1 / (useful * _log_uniform(streams["pool"], 0.3, 30.0)),
                "useful_share": useful,
                "junk_share": float(rng.uniform(0, 0.6)),
                "without": _missing_domains(task, rng),
            }
        if "agents" in self.vary:
            absent, copies, noise = agent_roles(task, tuple(name for name, _ in reference), streams["agents"])
            fields |= {"absent": absent, "copies": copies, "noise": noise}
        if "rate" in self.vary:
            fields["lr_scale"] = _log_uniform(streams["rate"], 0.5, 2.0)
        return Scenario(reference, **fields, pool_seed=seed)


def agent_roles(
    task: Task, in_play: tuple[str, ...], rng: Rng
) -> tuple[tuple[str, ...], Pairs, tuple[tuple[str, float], ...]]:
    """(absent, copies, noise) of a scenario whose reference tasks are `in_play`. All ranges are assumed.

    The `match` agents are those of its own reference tasks, those of other tasks, or none, with equal chances where
    there are such. Any other agent is absent in one of seven scenarios. In a quarter, if there are two static agents,
    the place of one is taken by a copy of another agent; in a quarter, half to all of a static agent's scores are
    chance. At least one agent is left."""
    agents = [agent for agent in task.prototypes[1:] if agent.weighted]
    match = [agent.name for agent in agents if agent.name.startswith(PREFIX)]
    own = [name for name in match if name.removeprefix(PREFIX) in in_play]
    kinds = [own, [name for name in match if name not in own]]
    kept_match = [*filter(None, kinds), []][rng.integers(1 + sum(map(bool, kinds)))]
    gone = rng.random(len(agents)) < 1 / 7
    here = [
        agent
        for agent, is_gone in zip(agents, gone, strict=True)
        if (agent.name in kept_match if agent.name in match else not is_gone)
    ] or agents[-1:]
    names = [agent.name for agent in here]
    absent = tuple(agent.name for agent in agents if agent.name not in names)
    static = [agent.name for agent in here if agent.has_column and not agent.moves]
    copies: Pairs = ()
    if len(static) > 1 and rng.random() < 0.25:
        place = str(rng.choice(static))
        copies = ((place, str(rng.choice([name for name in names if name != place]))),)
    noisy = [name for name in static if name not in dict(copies)]
    if noisy and rng.random() < 0.25:
        return absent, copies, ((str(rng.choice(noisy)), float(rng.uniform(0.5, 1))),)
    return absent, copies, ()


def _reference(tasks: tuple[str, ...], rng: Rng) -> tuple[tuple[str, float], ...]:
    number = 1 if rng.random() < 0.5 else min(len(tasks), 3)
    chosen = np.sort(rng.permutation(len(tasks))[:number])
    weights = rng.dirichlet(np.full(number, 2.0))
    return tuple((tasks[index], float(weight)) for index, weight in zip(chosen, weights, strict=True))


def _missing_domains(task: Task, rng: Rng) -> Pairs:
    """In three of ten scenarios, some of the domains that the cells have, at most half of them."""
    columns = list(task.layout.columns)
    missing, share = rng.random() < 0.3, rng.random()
    if DOMAIN not in columns or not missing:
        return ()
    there = np.unique(task.cells.labels_CA[:, columns.index(DOMAIN)])
    number = 1 + int(share * (len(there) // 2))
    names = task.layout.columns[DOMAIN].names
    gone = rng.permutation(there)[: min(number, len(there) // 2)]
    return tuple((DOMAIN, names[category]) for category in np.sort(gone))


def _log_uniform(rng: Rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
