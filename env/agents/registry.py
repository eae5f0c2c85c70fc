"""Agents by name."""

from ...lm.corpus import Corpus
from ...lm.errors import InputError
from ...lm.files import nearest
from .base import Agent
from .influence import InfluenceAgent
from .memory import MemoryAgent
from .null import NullAgent
from .static import StaticAgent

MOVED = ("domain", "topic")  # labelled agents that feedback moves; the other label columns are static scores


def known_agents(corpus: Corpus) -> tuple[str, ...]:
    """Every agent this corpus can have, `null` first: one a label column, and `influence`, which pools them."""
    return ("null", *corpus.labels, "influence")


def label_columns(names: tuple[str, ...], corpus: Corpus) -> tuple[str, ...]:
    """The label columns that the agents `names` read, in order."""
    return tuple(name for name in names if name in corpus.labels)


def check_names(names: tuple[str, ...], corpus: Corpus) -> None:
    """InputError: an unknown or repeated name, `null` not first, or no agent that labels."""
    for name in names:
        if name not in known_agents(corpus):
            raise InputError(f"unknown agent '{name}'; {nearest(name, known_agents(corpus))}")
    if not names or names[0] != "null" or len(set(names)) != len(names):
        raise InputError(f"agents are {', '.join(names)}; expected distinct names, null first")
    if not label_columns(names, corpus):
        raise InputError(f"agents are {', '.join(names)}; expected at least one of {', '.join(corpus.labels)}")


def make_agents(names: tuple[str, ...], corpus: Corpus, num_slots: int) -> list[Agent]:
    """One agent a name, in order; the names have passed `check_names`."""
    check_names(names, corpus)
    columns = label_columns(names, corpus)
    agents: list[Agent] = []
    for name in names:
        if name == "null":
            agents.append(NullAgent(num_slots))
        elif name == "influence":
            agents.append(InfluenceAgent(tuple(len(corpus.labels[column].names) for column in columns), num_slots))
        elif name in MOVED:
            agents.append(MemoryAgent(name, columns.index(name), len(corpus.labels[name].names), num_slots))
        else:
            agents.append(StaticAgent(name, columns.index(name), corpus.labels[name].values, num_slots))
    return agents
