"""What scenarios are drawn from: one distribution, with a split each for learning, for comparing and for claims."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from ...lm.ingest.documents import DOMAIN
from ...lm.ingest.held_out import HELD_OUT_TASK, default_tasks
from ...lm.io.errors import InputError
from ...lm.io.files import nearest
from ...lm.keyed_random import seed_of
from ..agents.base import Agent
from ..agents.match import PREFIX
from .pool import as_reference, check_reference_weights
from .scenario import LOSS_PARTS, Scenario
from .task import Task

SPLITS = ("train", "development", "sealed")
ALL = ("reference", "pool", "text", "agents", "rate")  # what scenarios may vary in
PLAIN = ("reference", "pool")  # these always vary; with these alone the text and the agents are the task's
# Kinds of null scenarios. In the first two natural is right: the reference is a share of natural's own text that was
# held out, or a mixture of all domains as natural mixes them. In the others natural is hard to beat and easy to lose
# against: few documents to steer by, agents whose scores are chance, pools so scarce that all text repeats.
NATURAL_IS_RIGHT = ("heldout", "mixture")
HARD = ("few", "noise", "scarce")
FEW = (12, 50)  # validation documents
COVERED = 0.75  # of the corpus's tokens are in domains that are reference tasks too, or there is no null mixture
SCENARIO = 2**31  # keeps these random streams apart from an episode's, which have the same seed
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
    mixture: dict[str, float] = field(default_factory=dict)
    """weight of each reference task in every scenario, as in: prose 3 code 1 (default: drawn anew for each)"""
    nulls: float = 1 / 3
    """share of the scenarios that are null scenarios: natural is right there, or hard to beat, and a policy must see
    it"""

    loss_part: Literal["validation", "trial"] = "validation"
    """whose loss is observed and rewarded: that of the reference tasks' validation part, which steers too, or that of
    their trial part. To learn on practice tasks trial is honest: what only fits the steering text does not pay there"""

    def __post_init__(self) -> None:
        if self.loss_part not in LOSS_PARTS:
            raise InputError(f"loss_part is '{self.loss_part}', expected one of {', '.join(LOSS_PARTS)}")
        if self.mixture and self.references:
            raise InputError("references and a mixture are given, expected one of them: a mixture names its tasks")
        if not 0 <= self.nulls <= 1:
            raise InputError(f"nulls is {self.nulls}, expected a share of the scenarios, from 0 to 1")
        if self.split not in SPLITS:
            raise InputError(f"split is '{self.split}', expected one of {', '.join(SPLITS)}")
        if set(self.vary) - set(ALL) or not set(PLAIN) <= set(self.vary):
            raise InputError(
                f"scenarios vary in {', '.join(self.vary)}; expected {', '.join(PLAIN)} and any of {', '.join(ALL[2:])}"
            )

    def reference_tasks(self, task: Task) -> tuple[str, ...]:
        """The reference tasks that scenarios may have, in the corpus's order. InputError: there is none of a name."""
        check_reference_weights(self.mixture, task.reference_tasks)
        for name in self.references:
            if name not in task.reference_tasks:
                raise InputError(f"references name '{name}'; {nearest(name, task.reference_tasks)}")
        if not (wanted := self.references or self.mixture):
            return default_tasks(task.reference_tasks)
        return tuple(name for name in task.reference_tasks if name in wanted)

    def run_seed(self, base_seed: int, group: int, number: int) -> int:
        """The seed of episode `number` of seed group `group` under `base_seed`."""
        return seed_of(base_seed, SPLITS.index(self.split), group, number)

    def numbered(self, task: Task, base_seed: int, number: int) -> tuple[Scenario, int]:
        """Scenario `number` under `base_seed`, as an environment's first seed group has it, and the seed of its run."""
        seed = self.run_seed(base_seed, 0, number)
        return self.sample(task, seed), seed

    def sample(self, task: Task, seed: int) -> Scenario:
        """The scenario of `seed`. Each thing that varies is drawn in the same way whatever else varies. All ranges are
        assumed.

        reference: unless `mixture` gives it, half of the scenarios have one reference task, half a mixture of three or,
        if there are fewer, of all (Dirichlet(2)). pool: log-uniform from 1.5 to 100 budgets; with `text`, of such a
        size that the budget would be .3 to 30 epochs of its useful part, log-uniform, if nothing else were drawn. text:
        useful share of the pool from .3% to 30%, log-uniform, junk share from 0 to 60%, uniform; in three of ten
        scenarios the text of some domains is missing. agents: `agent_roles`. rate: half to twice the peak learning
        rates, log-uniform. Runs of a scenario have one pool."""
        streams = {
            name: np.random.default_rng([seed, SCENARIO, index]) for index, name in enumerate(ALL) if name in self.vary
        }
        reference = as_reference(self.mixture) or _reference(self.reference_tasks(task), streams["reference"])
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
        ordinary = Scenario(reference, **fields, pool_seed=seed, loss_part=self.loss_part)
        rng = np.random.default_rng([seed, SCENARIO, len(ALL)])
        if rng.random() >= self.nulls:
            return ordinary
        kind = str(rng.choice(self.null_kinds(task, ordinary)))
        return null_scenario(task, ordinary, kind, self.reference_tasks(task), rng)

    def null_kinds(self, task: Task, ordinary: Scenario) -> list[str]:
        """The kinds of null scenarios that can be made of `ordinary`: those that the corpus and its agents allow, and
        what the scenarios vary in. A given mixture stays as it is."""
        possible = {
            "heldout": HELD_OUT_TASK in task.reference_tasks and not self.mixture,
            "mixture": bool(domain_mixture(task, self.reference_tasks(task))[0]) and not self.mixture,
            "few": _most_documents(task, ordinary) > min(FEW),
            "noise": bool(_static(task.prototypes[1:])) and "agents" in self.vary,
            "scarce": True,
        }
        return [kind for kind in (*NATURAL_IS_RIGHT, *HARD) if possible[kind]]


def null_scenario(task: Task, ordinary: Scenario, kind: str, tasks: tuple[str, ...], rng: Rng) -> Scenario:
    """A null scenario of that kind: all but what makes it one is `ordinary`'s. tasks: the reference tasks that
    scenarios may have.

    heldout: the task HELD_OUT_TASK, of which 12, 50 or all validation documents steer the run. mixture: the tasks that
    have the name of a domain, weighed as natural weighs these; other domains are taken out of the pool. Both have the
    whole corpus for a pool. few: 12 or 50 documents of the ordinary reference steer. noise: agents that feedback moves
    are absent, the scores of the others are chance. scarce: a pool of a fifth to one budget. All ranges are assumed.

    Labels are not made anew: a `match` agent was fitted to all documents, also where few steer, and chance of a few
    categories can favour useful text. So there is often a little to gain in the last three."""
    whole = {"useful_share": None, "junk_share": None, "without": (), "pool_budgets": _log_uniform(rng, 1.5, 100.0)}
    fewer = [number for number in FEW if number < _most_documents(task, ordinary)]
    changes: dict[str, Any] = {"reference_documents": int(rng.choice(fewer or FEW))}
    if kind == "heldout":
        number = (*FEW, None)[rng.integers(len(FEW) + 1)]
        changes = {**whole, "reference": ((HELD_OUT_TASK, 1.0),), "reference_documents": number}
    elif kind == "mixture":
        weights, others = domain_mixture(task, tasks)
        without = tuple((DOMAIN, name) for name in others)
        changes = {**whole, "reference": tuple(weights.items()), "without": without}
    elif kind == "noise":
        static = _static(task.prototypes[1:])
        gone = [agent.name for agent in task.prototypes[1:] if agent.name not in static]
        noise = tuple((name, 1.0) for name in static)
        changes = {"absent": tuple(gone), "copies": (), "noise": noise}
    elif kind == "scarce":
        changes = {"pool_budgets": _log_uniform(rng, 0.2, 1.0)}
    return replace(ordinary, null=kind, **changes)


def _static(agents: list[Agent]) -> list[str]:
    """Those of the agents that take weight and whose scores may be chance."""
    return [agent.name for agent in agents if agent.weighted and agent.has_column and not agent.moves]


def _most_documents(task: Task, scenario: Scenario) -> int:
    """The most validation documents that a reference task of the scenario has."""
    number = dict(zip(task.reference_tasks, task.reference_documents, strict=True))
    return max(number[name] for name, _ in scenario.reference)


def domain_mixture(task: Task, tasks: tuple[str, ...]) -> tuple[dict[str, float], list[str]]:
    """Those of `tasks` that have the name of a domain, with the share of this domain in their text, and the other
    domains; no tasks if they are fewer than two or have less than COVERED of the corpus."""
    if DOMAIN not in task.layout.columns:
        return {}, []
    names = task.layout.columns[DOMAIN].names
    labels_C = task.cells.labels_CA[:, list(task.layout.columns).index(DOMAIN)]
    share = dict(zip(names, np.bincount(labels_C, task.cells.natural_C, len(names)).tolist(), strict=True))
    weights = {name: share[name] for name in tasks if share.get(name, 0) > 0}
    total = sum(weights.values())
    if len(weights) < 2 or total < COVERED:
        return {}, []
    others = [name for name in names if name not in weights and share[name] > 0]
    return {name: weight / total for name, weight in weights.items()}, others


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
    static = _static(here)
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
