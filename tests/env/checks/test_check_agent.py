"""check_agent passes every agent that is shipped."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from pretraingym.env import check_agent
from pretraingym.env.agents.base import Agent
from pretraingym.env.agents.column import ColumnAgent
from pretraingym.env.agents.match import MatchAgent
from pretraingym.env.agents.plugins import SHIPPED
from pretraingym.env.agents.quality import QualityAgent
from pretraingym.env.text import language_model
from pretraingym.lm.corpus.corpus import Corpus, Labels
from pretraingym.lm.ingest.synthetic import build_synthetic
from pretraingym.lm.io.errors import InputError


@pytest.fixture(scope="module")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """As the tiny one with fewer documents, for agents that take long over each."""
    return build_synthetic(tmp_path_factory.mktemp("corpus") / "small", documents_per_domain=100)


@pytest.mark.parametrize("kind", [*SHIPPED.values(), lambda: MatchAgent("code"), lambda: QualityAgent(moves=True)])
def test_shipped_agents_pass(small_corpus: Corpus, kind: Callable[[], Agent], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_model, "LanguageModel", partial(language_model.LanguageModel, steps=10))
    for size, small in (("WIDTH", 16), ("NUM_LAYERS", 1), ("STEP_WINDOWS", 4), ("CONTEXT", 16)):
        monkeypatch.setattr(language_model, size, small)
    check_agent(kind(), small_corpus)


def test_no_corpus_is_needed() -> None:
    check_agent(QualityAgent())
    with pytest.raises(InputError, match="agent 'mine' needs labels, and the corpus has none of that name"):
        check_agent(ColumnAgent("mine", Labels(("a", "b"), (0.0, 1.0), np.zeros(1, np.uint16))))


def test_columns_pass(tiny_corpus: Corpus) -> None:
    for name in ("topic", "match-prose"):
        check_agent(ColumnAgent(name, tiny_corpus.labels[name]), tiny_corpus)


def test_importing_the_environment_stays_cheap() -> None:
    probe = (
        "import sys, pretraingym.env as env; print({'torch', 'scipy'} & set(sys.modules), env.check_agent.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout == "set() pretraingym.env.checks.agent_check\n"
