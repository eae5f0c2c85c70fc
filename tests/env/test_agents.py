"""Agents against closed forms: the paper's moving average, a regression whose effects are known, static values."""

import numpy as np
import pytest

from pretraingym.env.agents.base import Feedback
from pretraingym.env.agents.influence import InfluenceAgent
from pretraingym.env.agents.memory import MemoryAgent
from pretraingym.env.agents.registry import known_agents, make_agents
from pretraingym.env.agents.static import StaticAgent
from pretraingym.lm.corpus import Corpus
from pretraingym.lm.errors import InputError


def feedback(labels: np.ndarray, influence: np.ndarray) -> Feedback:
    share = np.full(influence.shape, 1 / influence.shape[1])
    return Feedback(labels.astype(np.uint16), share, np.zeros_like(influence), influence, np.zeros(len(influence)))


def test_memory_moves_by_the_papers_average() -> None:
    agent = MemoryAgent("domain", 0, 3, num_slots=2, eta=0.25)
    labels = np.array([[[0], [0], [1], [1]]] * 2)
    influence = np.array([[1.0, 3.0, -1.0, -1.0], [np.nan] * 4])
    agent.update(feedback(labels, influence))
    agent.update(feedback(labels, influence))
    expected = 0.25 * 2 + 0.75 * 0.25 * 2  # twice w <- .75 w + .25 mean
    np.testing.assert_allclose(agent.memory_NC[0], [expected, -expected / 2, 0])  # category 2 was not seen
    np.testing.assert_allclose(agent.memory_NC[1], 0)  # a run without a usable probe learns nothing
    np.testing.assert_allclose(agent.score(np.array([[1], [0]], np.uint16))[0], [-expected / 2, expected])
    agent.reset(np.array([0]))
    assert (agent.memory_NC == 0).all()


def test_influence_recovers_additive_effects() -> None:
    rng = np.random.default_rng(0)
    effects = [np.array([1.0, 0.0, -1.0]), np.array([0.5, -0.5])]
    agent = InfluenceAgent((3, 2), num_slots=1)
    for _ in range(6):
        labels = np.stack([rng.integers(3, size=(1, 200)), rng.integers(2, size=(1, 200))], -1)
        influence = effects[0][labels[..., 0]] + effects[1][labels[..., 1]] + rng.normal(0, 0.5, (1, 200))
        agent.update(feedback(labels, influence))
    every = np.array([[a, b] for a in range(3) for b in range(2)], np.uint16)
    truth = np.array([effects[0][a] + effects[1][b] for a, b in every])
    assert np.corrcoef(agent.score(every)[0], truth)[0, 1] > 0.99


@pytest.mark.parametrize("kind", ["memory", "influence"])
def test_state_goes_on_exactly(kind: str) -> None:
    def make() -> MemoryAgent | InfluenceAgent:
        return MemoryAgent("domain", 0, 3, 2) if kind == "memory" else InfluenceAgent((3,), 2)

    rng = np.random.default_rng(0)
    news = [feedback(rng.integers(3, size=(2, 20, 1)), rng.normal(size=(2, 20))) for _ in range(2)]
    one, other = make(), make()
    one.update(news[0])
    other.load_state_dict(one.state_dict())
    for agent in (one, other):
        agent.update(news[1])
    every = np.arange(3, dtype=np.uint16)[:, None]
    np.testing.assert_array_equal(one.score(every), other.score(every))


def test_registry_builds_every_agent_of_a_corpus(tiny_corpus: Corpus) -> None:
    names = known_agents(tiny_corpus)
    assert names[0] == "null"
    assert {"quality", "match-prose", "match-code", "domain", "topic", "influence"} < set(names)
    agents = make_agents(names, tiny_corpus, 2)
    assert [agent.name for agent in agents] == list(names)
    assert [agent.name for agent in agents if agent.moves] == ["domain", "topic", "influence"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("null", "qualty"), "unknown agent 'qualty'; did you mean 'quality'?"),
        (("quality",), "expected distinct names, null first"),
        (("null", "influence"), "expected at least one of domain, match-code, match-prose, quality, topic"),
        (("null", "topic", "topic"), "distinct names"),
    ],
)
def test_bad_names_are_refused(tiny_corpus: Corpus, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_agents(names, tiny_corpus, 1)


def test_static_agents_need_values() -> None:
    with pytest.raises(InputError, match="agent 'score' is static but its categories have no finite values"):
        StaticAgent("score", 0, (1.0, np.nan), 1)
