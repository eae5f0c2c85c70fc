"""Agents as a configuration names them: `quality`, `match-prose`, `quality:moves=true`, a column, a package's agent."""

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

from ...lm.corpus.corpus import Corpus
from ...lm.corpus.writer import check_label_name
from ...lm.io.errors import InputError
from ...lm.io.files import nearest
from .base import Agent, LabelAgent
from .column import ColumnAgent
from .match import PREFIX, MatchAgent
from .plugins import kind_called, kinds

UNLABELLED = "null", "influence"  # agents that every corpus has; they stand first and last


def default_agents(corpus: Corpus) -> tuple[str, ...]:
    """The agents where none are named: null, one a label column, and influence, which uses all columns."""
    first, last = UNLABELLED
    return (first, *corpus.labels, last)


def check_column_name(name: str) -> None:
    """InputError: no label column can be called so."""
    check_label_name(name)
    if name in UNLABELLED:
        raise InputError(f"the name '{name}' is given, which is that of an agent without labels; take another")


def label_name(spec: str) -> str:
    """The name of an agent without its settings."""
    return spec.partition(":")[0]


def make_agent(spec: str, corpus: Corpus) -> Agent:
    """The agent that `spec` names, for a labelled corpus. InputError: it is unknown, or has no labels in the corpus."""
    name, _, settings = spec.partition(":")
    known = kinds()
    if name in known:
        agent = _made(name, known[name], settings)
    elif name not in corpus.labels and not name.startswith(PREFIX):
        raise InputError(f"unknown agent '{name}'; {nearest(name, {*known, *corpus.labels})}")
    elif settings:
        raise InputError(f"agent '{name}' has no settings, '{settings}' given")
    elif name.startswith(PREFIX):
        agent = MatchAgent(name.removeprefix(PREFIX))
    else:
        agent = ColumnAgent(name, corpus.labels[name])
    if agent.has_column and name not in corpus.labels:
        raise InputError(
            f"the corpus has no labels of agent '{name}', only of {', '.join(corpus.labels)}; add them: pretraingym "
            f"corpus label {corpus.path} --agents {name}"
        )
    return agent


def make_agents(specs: tuple[str, ...], corpus: Corpus) -> list[Agent]:
    """One agent a spec, in order. InputError: as make_agent; or a name is there twice, `null` is not first, or no agent
    has labels, or none but null takes weight."""
    agents = [make_agent(spec, corpus) for spec in specs]
    names = [label_name(spec) for spec in specs]
    if not names or names[0] != "null" or len(set(names)) != len(names):
        raise InputError(f"agents are {', '.join(specs)}; expected distinct names, null first")
    if not any(agent.has_column for agent in agents):
        raise InputError(f"agents are {', '.join(specs)}; expected at least one of {', '.join(corpus.labels)}")
    if not any(agent.weighted for agent in agents[1:]):
        raise InputError(f"agents are {', '.join(specs)}; none but null takes weight: name one that does")
    return agents


def make_labellers(specs: tuple[str, ...], tasks: tuple[str, ...]) -> list[LabelAgent]:
    """The agents that `specs` name, to label a corpus with; `match` stands for one a reference task. InputError: an
    agent is unknown, named twice, or does not label text."""
    agents: list[LabelAgent] = []
    for spec in specs:
        name, _, settings = spec.partition(":")
        if name == "match":
            agents += [MatchAgent(task) for task in sorted(tasks)]
            continue
        agent = (
            MatchAgent(name.removeprefix(PREFIX))
            if name.startswith(PREFIX)
            else _made(name, kind_called(name), settings)
        )
        if not isinstance(agent, LabelAgent) or type(agent).measure is LabelAgent.measure:
            raise InputError(f"agent '{name}' does not label text; leave it out here, and name it in a run")
        agents.append(agent)
    names = [agent.name for agent in agents]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise InputError(f"agent '{min(repeated)}' is named twice; name each once")
    return agents


def _made(name: str, kind: Callable[..., Agent], settings: str) -> Agent:
    """An agent of that kind with the settings `key=value,...`."""
    parameters = inspect.signature(kind).parameters
    hints = get_type_hints(kind.__init__) if inspect.isclass(kind) else get_type_hints(kind)
    values: dict[str, Any] = {}
    for part in filter(None, settings.split(",")):
        key, _, text = part.partition("=")
        if key not in parameters:
            has = nearest(key, parameters) if parameters else "it has none"
            raise InputError(f"agent '{name}' has no setting '{key}'; {has}")
        values[key] = _value(text, hints.get(key, str), f"agent '{name}': {key}")
    for key, parameter in parameters.items():
        optional = parameter.default is not parameter.empty or parameter.kind in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        )
        if key not in values and not optional:
            raise InputError(f"agent '{name}' needs a value for '{key}'; name it as {name}:{key}=...")
    agent = kind(**values)
    if not isinstance(agent, Agent):
        raise InputError(f"agent '{name}' is a {type(agent).__name__}, expected a subclass of pretraingym's Agent")
    if agent.name != name:
        raise InputError(f"agent '{name}' calls itself '{agent.name}'; give both one name")
    return agent


def _value(text: str, kind: type, what: str) -> Any:
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise InputError(f"{what} is '{text}', expected true or false")
        return text.lower() == "true"
    try:
        return kind(text)
    except ValueError:
        raise InputError(f"{what} is '{text}', expected a value of type {kind.__name__}") from None
