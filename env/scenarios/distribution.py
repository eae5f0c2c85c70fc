"""What scenarios are drawn from: the axes on which situations differ, each as a user meets it."""

from typing import Any

import numpy as np

from ...lm.io.errors import InputError
from ...lm.io.files import nearest
from ..agents.match import PREFIX
from .scenario import Scenario
from .task import Task

SETS = ("train", "development", "sealed")  # the learner's; for choosing defaults; opened once, for the claim
AXES = ("reference", "pool", "text", "agents", "rate")
PLAIN = ("reference", "pool")  # one corpus as it is, and all agents as they are
SCENARIO = 2**31  # keeps this random stream apart from an episode's, which share its seed
DOMAIN = "domain"  # the label column whose categories may be missing
Rng = np.random.Generator
Pairs = tuple[tuple[str, str], ...]


def check_axes(axes: tuple[str, ...]) -> tuple[str, ...]:
    """InputError: one that is not known, or no reference and pool."""
    if set(axes) - set(AXES) or not set(PLAIN) <= set(axes):
        raise InputError(f"axes are {', '.join(axes)}; expected {', '.join(PLAIN)} and any of {', '.join(AXES[2:])}")
    return axes


def check_references(task: Task, references: tuple[str, ...]) -> tuple[str, ...]:
    """Those reference tasks, or all if none is named. InputError: one that the corpus does not have."""
    for name in references:
        if name not in task.tasks:
            raise InputError(f"references name '{name}'; {nearest(name, task.tasks)}")
    return tuple(name for name in task.tasks if name in references) or task.tasks


def run_seed(base_seed: int, scenario_set: str, group: int, number: int) -> int:
    """Of episode `number` of `group` in a set: no two sets share one."""
    entropy = [base_seed, SETS.index(scenario_set), group, number]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))


def numbered_scenario(
    task: Task, scenario_set: str, base_seed: int, number: int, axes: tuple[str, ...], references: tuple[str, ...]
) -> tuple[Scenario, int]:
    """Scenario `number` of a set, that of an environment's first group, and its run's seed."""
    seed = run_seed(base_seed, scenario_set, 0, number)
    return sample_scenario(task, seed, axes, check_references(task, references)), seed


def sample_scenario(task: Task, seed: int, axes: tuple[str, ...] = AXES, references: tuple[str, ...] = ()) -> Scenario:
    """The scenario that `seed` stands for; an axis is drawn alike whichever others are. All ranges are the design's, or
    assumed. references: the reference tasks that may be in play (default: all).

    reference: half have one reference task, half a mixture of three, or as many as there are (Dirichlet(2)). pool:
    log-uniform from 1.5 to 100 budgets; with `text`, so much of it that its useful part would last .3 to 30 epochs,
    log-uniform, were nothing else drawn. text: useful share of the pool from .3% to 30%, log-uniform, junk from 0 to
    60%, and in three of ten the text of some domains is missing. agents: `agent_axis`. rate: half to twice the peak
    learning rates, log-uniform. Runs of one scenario share the text of its pool."""
    streams = {name: np.random.default_rng([seed, SCENARIO, index]) for index, name in enumerate(AXES) if name in axes}
    reference = _reference(references or task.tasks, streams["reference"])
    if "text" not in axes:
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
    if "agents" in axes:
        absent, copies, noise = agent_axis(task, tuple(name for name, _ in reference), streams["agents"])
        fields |= {"absent": absent, "copies": copies, "noise": noise}
    if "rate" in axes:
        fields["lr_scale"] = _log_uniform(streams["rate"], 0.5, 2.0)
    return Scenario(reference, **fields, pool_seed=seed)


def agent_axis(
    task: Task, in_play: tuple[str, ...], rng: Rng
) -> tuple[tuple[str, ...], Pairs, tuple[tuple[str, float], ...]]:
    """(absent, copies, noise) of a scenario whose reference tasks are `in_play`.

    The `match` agents are those of its own reference tasks, of other tasks alone, or none: as often, where there are
    such. Every other agent is absent in one of seven. In a quarter a static agent's place, if there are two, is taken
    by another agent, a second time; in a quarter half to all of a static agent's scores are chance. At least one agent
    is left."""
    agents = [agent for agent in task.prototypes[1:] if agent.weighted]
    match = [agent.name for agent in agents if agent.name.startswith(PREFIX)]
    own = [name for name in match if name.removeprefix(PREFIX) in in_play]
    casts = [own, [name for name in match if name not in own]]
    kept_match = [*filter(None, casts), []][rng.integers(1 + sum(map(bool, casts)))]
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
    """Up to half of the domains there is text of."""
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
