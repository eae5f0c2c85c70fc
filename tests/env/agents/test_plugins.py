"""Agents of installed packages and of the program: one that is wrong is named, and the rest go on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from types import SimpleNamespace
from typing import Any

import pytest

from pretraingym.env.agents import plugins
from pretraingym.env.agents.base import Agent, Array, LabelAgent
from pretraingym.env.agents.null import NullAgent
from pretraingym.env.agents.plugins import SHIPPED, kind_called, kinds, register_agent
from pretraingym.env.agents.registry import make_agents, make_labellers
from pretraingym.env.text.corpus_text import TextBatch
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.io.errors import InputError


class Mine(LabelAgent):
    """An agent of a package or a program."""

    name = "mine"

    def __init__(self, power: float = 1.0) -> None:
        self.power = power

    def measure(self, batch: TextBatch) -> Array:
        return batch.sizes**self.power


class Yours(NullAgent):
    name = "yours"


@dataclass
class Entry:
    """An entry point as importlib.metadata gives it. loads: what it loads, or what that raises."""

    name: str
    package: str
    loads: Any

    @property
    def value(self) -> str:
        return f"{self.package}.agents:Kind"

    @property
    def dist(self) -> SimpleNamespace:
        return SimpleNamespace(name=self.package)

    def load(self) -> Any:
        if isinstance(self.loads, BaseException):
            raise self.loads
        return self.loads


Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Has those entry points, and no others, as if their packages were installed."""

    def install(*entries: Entry) -> None:
        monkeypatch.setattr(
            metadata, "entry_points", lambda group: entries if group == plugins.ENTRY_POINT_GROUP else ()
        )
        plugins._from_packages.cache_clear()

    monkeypatch.setattr(plugins, "_registered", {})
    install()
    yield install
    monkeypatch.undo()
    plugins._from_packages.cache_clear()


def test_agents_of_packages_are_known(install: Install) -> None:
    install(Entry("mine", "one", Mine), Entry("yours", "two", Yours))
    assert set(kinds()) == {*SHIPPED, "mine", "yours"}
    assert kind_called("mine") is Mine
    (agent,) = make_labellers(("mine:power=2",), ())
    assert isinstance(agent, Mine)
    assert agent.power == 2


@pytest.mark.parametrize("error", [ImportError("no module called x"), RuntimeError("boom"), SystemExit(3)])
def test_a_package_that_raises_is_named_and_the_rest_go_on(install: Install, error: BaseException) -> None:
    install(Entry("bad", "broken", error), Entry("mine", "one", Mine))
    message = f"agent 'bad' of package 'broken' is left out: importing broken.agents:Kind raised {type(error).__name__}"
    with pytest.warns(UserWarning, match=message):
        assert set(kinds()) == {*SHIPPED, "mine"}
    assert set(kinds()) == {*SHIPPED, "mine"}  # told once: a second warning would be an error here
    with pytest.raises(InputError, match="unknown agent 'bad'"):
        kind_called("bad")


def test_of_two_packages_with_one_name_the_first_stays(install: Install) -> None:
    install(Entry("mine", "two", Yours), Entry("mine", "one", Mine))
    with pytest.warns(UserWarning, match="agent 'mine' of package 'two' is left out: package 'one' has one of that n"):
        assert kinds()["mine"] is Mine


def test_a_package_that_raises_takes_no_name(install: Install) -> None:
    install(Entry("mine", "broken", RuntimeError("boom")), Entry("mine", "one", Mine))
    with pytest.warns(UserWarning, match="package 'broken' is left out"):
        assert kinds()["mine"] is Mine


@pytest.mark.parametrize("name", ["quality", "column", "match", "match-prose"])
def test_shipped_names_are_taken(install: Install, name: str) -> None:
    install(Entry(name, "one", Mine))
    with pytest.warns(UserWarning, match=f"agent '{name}' of package 'one' is left out: pretraingym has one of that"):
        assert kinds() == SHIPPED
    with pytest.raises(InputError, match=f"an agent called '{name}' is there already; give yours another name"):
        register_agent(name, Mine)


def test_a_package_must_bring_a_kind_of_agent(install: Install) -> None:
    install(Entry("mine", "one", Mine), Entry("thing", "two", SimpleNamespace()))
    with pytest.warns(UserWarning, match="agent 'thing' of package 'two' is left out: two.agents:Kind is a SimpleNa"):
        assert set(kinds()) == {*SHIPPED, "mine"}


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Yours, "agent 'mine' calls itself 'yours'; give both one name"),
        (lambda: 3, "agent 'mine' is a int, expected a subclass of pretraingym's Agent"),
        (lambda size: Mine(size), "agent 'mine' needs a value for 'size'; name it as mine:size=..."),
    ],
)
def test_what_is_no_agent_of_its_name_is_refused(install: Install, kind: Any, message: str) -> None:
    install(Entry("mine", "one", kind))
    with pytest.raises(InputError, match=message):
        make_labellers(("mine",), ())


def test_a_program_registers_an_agent(install: Install, tiny_corpus: Corpus) -> None:
    install(Entry("mine", "one", Mine))
    register_agent("yours", Yours)
    agents: list[Agent] = make_agents(("null", "quality", "yours"), tiny_corpus)
    assert {agent.name: type(agent) for agent in agents}["yours"] is Yours
    for name in ("yours", "mine"):
        with pytest.raises(InputError, match=f"an agent called '{name}' is there already"):
            register_agent(name, Yours)
