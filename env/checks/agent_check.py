"""Checking an agent: the first mistake of its author is reported, with its likely cause."""

import copy
import re
from pathlib import Path
from tempfile import TemporaryDirectory

from ...lm.corpus.corpus import Corpus
from ...lm.ingest.synthetic import build_synthetic
from ...lm.io.errors import InputError
from ..agents.base import Agent, LabelAgent
from ..agents.plugins import SHIPPED
from ..agents.registry import UNLABELLED
from ..text.corpus_text import CorpusText
from .label_check import checked_labels
from .run_check import check_runs

DOCUMENTS_PER_DOMAIN = 20  # of the made-up corpus, which has five domains


def check_agent(agent: Agent, corpus: Corpus | None = None) -> None:
    """Label `corpus` with the agent, start it in a few runs with made-up probes, and check what it does.

    Args:
        agent: a new object, neither fitted nor started. It stays so, because copies of it are used.
        corpus: a small one, because an agent that labels text reads it three times. It is not changed. Without one a
            small made-up corpus is built for the check and removed after it: its text is made of made-up words.

    Raises:
        InputError: the first fault, with its likely cause. Exceptions of the agent's own code pass through, except for
            those that show a known mistake.
    """
    _check_class(agent)
    try:
        copy.deepcopy(agent)
    except Exception as error:
        raise InputError(
            f"agent '{agent.name}' cannot be copied ({type(error).__name__}: {error}): make files, locks and models in "
            "fit or start, not in __init__"
        ) from error
    if corpus is not None:
        return _check_on(agent, corpus)
    with TemporaryDirectory() as folder:
        _check_on(agent, build_synthetic(Path(folder) / "corpus", documents_per_domain=DOCUMENTS_PER_DOMAIN))


def _check_on(agent: Agent, corpus: Corpus) -> None:
    documents = CorpusText(corpus.texts, corpus.splits, corpus.labels["domain"].column)
    columns = dict(corpus.labels)
    if isinstance(agent, LabelAgent) and type(agent).measure is not LabelAgent.measure:
        columns[agent.name] = checked_labels(agent, documents)
    elif agent.has_column and agent.name not in columns:
        raise InputError(
            f"agent '{agent.name}' needs labels, and the corpus has none of that name, only {', '.join(columns)}: "
            "define `measure`, or bring the column with the documents"
        )
    check_runs(agent, columns, documents)


def _check_class(agent: Agent) -> None:
    if not isinstance(agent, Agent):
        hint = f", not the class: {agent.__name__}()" if isinstance(agent, type) else ", a subclass of Agent"
        raise InputError(f"{agent!r} is no agent; give an object{hint}")
    name = getattr(agent, "name", None)
    if not isinstance(name, str) or not re.fullmatch(r"[\w.-]+", name):
        raise InputError(
            f"{type(agent).__name__} has the name {name!r}, expected letters, digits, '-', '_' and '.': it names files "
            "and configurations"
        )
    shipped = SHIPPED[name] if name in UNLABELLED else None
    if isinstance(shipped, type) and not isinstance(agent, shipped):
        raise InputError(f"{type(agent).__name__} has the name '{name}', which the shipped agent has; take another")
    for flag in ("moves", "weighted", "has_column"):
        if not isinstance(getattr(agent, flag), bool):
            raise InputError(f"agent '{name}': {flag} is {getattr(agent, flag)!r}, expected True or False")
