"""Kinds of agents: those that ship here, those that a program registers, and those of installed packages.

A package brings an agent by an entry point of the group `pretraingym.agents`. The entry point has the agent's name:

    [project.entry-points."pretraingym.agents"]
    shortness = "my_package:ShortnessAgent"
"""

import warnings
from collections.abc import Callable
from functools import cache
from importlib import metadata

from ...lm.io.errors import InputError
from ...lm.io.files import nearest
from .base import Agent
from .domain import DomainAgent
from .influence import InfluenceAgent
from .learnability import LearnabilityAgent
from .match import PREFIX
from .novelty import NoveltyAgent
from .null import NullAgent
from .perplexity import PerplexityAgent
from .quality import QualityAgent
from .topic import TopicAgent

ENTRY_POINT_GROUP = "pretraingym.agents"
SHIPPED: dict[str, Callable[..., Agent]] = {
    kind.name: kind
    for kind in (
        NullAgent,
        QualityAgent,
        DomainAgent,
        TopicAgent,
        PerplexityAgent,
        LearnabilityAgent,
        InfluenceAgent,
        NoveltyAgent,
    )
}
RESERVED = ("column", "match")  # kinds whose agents have the names of a column or a task
_registered: dict[str, Callable[..., Agent]] = {}


def register_agent(name: str, kind: Callable[..., Agent]) -> None:
    """Make `kind` (a class, or a function that returns an agent) known as the agent `name` in this process. InputError:
    the name is taken."""
    if name in kinds() or _is_reserved(name):
        raise InputError(f"an agent called '{name}' is there already; give yours another name")
    _registered[name] = kind


def kinds() -> dict[str, Callable[..., Agent]]:
    """Every kind of agent, by name. A package that cannot be imported, or whose agent has a name that is taken, is left
    out with a warning."""
    return {**_from_packages(), **_registered, **SHIPPED}


def kind_called(name: str) -> Callable[..., Agent]:
    """The kind of that name. InputError: there is none."""
    known = kinds()
    if name not in known:
        raise InputError(f"unknown agent '{name}'; {nearest(name, known)}")
    return known[name]


def _is_reserved(name: str) -> bool:
    return name in RESERVED or name.startswith(PREFIX)


@cache
def _from_packages() -> dict[str, Callable[..., Agent]]:
    found: dict[str, Callable[..., Agent]] = {}
    owners: dict[str, str] = dict.fromkeys(SHIPPED, "pretraingym")
    for entry in sorted(metadata.entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: (entry.name, entry.value)):
        package = entry.dist.name if entry.dist else entry.value
        owner = "pretraingym" if _is_reserved(entry.name) else owners.get(entry.name)
        try:
            if owner:
                raise InputError(f"{owner} has one of that name")
            found[entry.name] = _loaded(entry)
            owners[entry.name] = f"package '{package}'"
        except InputError as fault:
            warnings.warn(
                f"agent '{entry.name}' of package '{package}' is left out: {fault}. Runs that do not name it are as "
                "they were; to use it, mend or rename it, or uninstall what is in its way",
                stacklevel=2,
            )
    return found


def _loaded(entry: metadata.EntryPoint) -> Callable[..., Agent]:
    try:
        kind = entry.load()
    except (Exception, SystemExit) as error:
        raise InputError(f"importing {entry.value} raised {type(error).__name__}: {error}") from error
    if not callable(kind):
        raise InputError(f"{entry.value} is a {type(kind).__name__}, expected a class of agents")
    return kind
