"""Agents against closed forms: the paper's moving average, a regression whose effects are known, static values."""

from collections.abc import Callable

import numpy as np
import pytest

from pretraingym.env.agents.base import Agent, Feedback, LabelAgent, Layout
from pretraingym.env.agents.column import ColumnAgent
from pretraingym.env.agents.domain import DomainAgent
from pretraingym.env.agents.influence import InfluenceAgent
from pretraingym.env.agents.novelty import NoveltyAgent
from pretraingym.env.agents.quality import QualityAgent
from pretraingym.env.agents.registry import default_agents, make_agents, make_labellers
from pretraingym.env.text.corpus_text import CorpusText
from pretraingym.lm.corpus.corpus import Corpus, Labels
from pretraingym.lm.io.errors import InputError

CELLS = np.array([[domain, quality] for domain in range(3) for quality in range(2)], np.uint16)  # as in `layout`


def layout(values: tuple[float, ...] | None = None) -> Layout:
    """Two label columns: domain with three categories a, b, c, and quality with two, which have these values."""
    column = np.zeros(1, np.uint16)
    columns = {"domain": Labels(("a", "b", "c"), None, column), "quality": Labels(("low", "high"), values, column)}
    return Layout(columns, CELLS)


def priorities(agent: Agent, domains: str) -> np.ndarray:
    """Of text of each of these domains, (N, domains), whatever its quality."""
    by_quality = np.array([agent.score(CELLS[CELLS[:, 1] == quality]) for quality in range(2)])
    np.testing.assert_array_equal(by_quality[0], by_quality[1])
    return by_quality[0][:, ["abc".index(domain) for domain in domains]]


def feedback(labels: np.ndarray, influence: np.ndarray) -> Feedback:
    share = np.full(influence.shape, 1 / influence.shape[1])
    loss, reference = np.zeros_like(influence), np.zeros(len(influence))
    return Feedback(labels.astype(np.uint16), share, loss, influence, reference, np.zeros((len(influence), len(CELLS))))


def started(agent: Agent, num_slots: int = 1, values: tuple[float, ...] | None = None) -> Agent:
    agent.start(num_slots, layout(values))
    return agent


def test_memory_moves_by_the_papers_average() -> None:
    agent = started(DomainAgent(), 2)
    assert isinstance(agent, LabelAgent)
    agent.eta = 0.25
    labels = np.array([[[0, 0], [0, 1], [1, 0], [1, 1]]] * 2)
    influence = np.array([[1.0, 3.0, -1.0, -1.0], [np.nan] * 4])
    agent.update(feedback(labels, influence))
    agent.update(feedback(labels, influence))
    expected = 0.25 * 2 + 0.75 * 0.25 * 2  # twice w <- .75 w + .25 mean
    taught, untaught = priorities(agent, "abc")
    np.testing.assert_allclose(taught, [expected, -expected / 2, 0], err_msg="no window of the probe is of domain c")
    np.testing.assert_array_equal(untaught, 0, err_msg="a run without a usable probe learns nothing")
    np.testing.assert_allclose(priorities(agent, "ba")[0], [-expected / 2, expected])
    agent.reset(np.array([0]))
    np.testing.assert_array_equal(priorities(agent, "abc"), 0)


def test_influence_recovers_additive_effects() -> None:
    rng = np.random.default_rng(0)
    effects = [np.array([1.0, 0.0, -1.0]), np.array([0.5, -0.5])]
    agent = started(InfluenceAgent())
    for _ in range(6):
        labels = np.stack([rng.integers(3, size=(1, 200)), rng.integers(2, size=(1, 200))], -1)
        influence = effects[0][labels[..., 0]] + effects[1][labels[..., 1]] + rng.normal(0, 0.5, (1, 200))
        agent.update(feedback(labels, influence))
    truth = np.array([effects[0][a] + effects[1][b] for a, b in CELLS])
    assert np.corrcoef(agent.score(CELLS)[0], truth)[0, 1] > 0.99


def test_influence_learns_nothing_where_no_run_has_a_usable_probe() -> None:
    agent = started(InfluenceAgent(), 2)
    agent.update(feedback(np.zeros((2, 4, 2)), np.full((2, 4), np.nan)))
    assert (agent.score(CELLS) == 0).all()


def test_influence_refuses_more_categories_than_it_can_hold() -> None:
    column = np.zeros(1, np.uint16)
    wide = Layout({"user": Labels(tuple(map(str, range(3000))), None, column)}, CELLS[:, :1])
    with pytest.raises(InputError, match="pools 3000 categories, at most 2048: coarsen the finest of user"):
        InfluenceAgent().start(1, wide)


def test_novelty_prefers_what_was_used_least_and_knows_nothing_of_other_text() -> None:
    agent = started(NoveltyAgent(), 2)
    labels, influence = np.zeros((2, 4, 2)), np.zeros((2, 4))
    told = feedback(labels, influence)
    epochs = np.zeros((2, len(CELLS)))
    epochs[0] = [3, 0, 1, 0, 0.5, 2]
    agent.update(Feedback(told.labels, told.share, told.loss, told.influence, told.reference_loss, epochs))
    scores = agent.score_cells(CELLS)
    assert np.argsort(-scores[0], kind="stable").tolist() == [1, 3, 4, 2, 5, 0]
    np.testing.assert_allclose(scores[0, 0], -np.log(4))
    assert (scores[1] == 0).all()
    assert np.isnan(agent.score(CELLS)).all()
    agent.reset(np.array([0]))
    assert (agent.score_cells(CELLS) == 0).all()


def test_quality_is_static_unless_it_moves() -> None:
    static, moved = (started(QualityAgent(moves=moves), values=(-1.0, 2.0)) for moves in (False, True))
    labels, influence = np.array([[[0, 0], [0, 1]]]), np.array([[1.0, -1.0]])
    for agent in (static, moved):
        agent.update(feedback(labels, influence))
    assert static.score(CELLS[:2]).tolist() == [[-1.0, 2.0]]
    np.testing.assert_allclose(moved.score(CELLS[:2]), [[0.3, -0.3]])
    assert static.state_dict() == {}


@pytest.mark.parametrize("make", [DomainAgent, InfluenceAgent, NoveltyAgent])
def test_state_goes_on_exactly(make: Callable[[], Agent]) -> None:
    rng = np.random.default_rng(0)
    news = [
        feedback(np.stack([rng.integers(3, size=(2, 20)), rng.integers(2, size=(2, 20))], -1), rng.normal(size=(2, 20)))
        for _ in range(2)
    ]
    one, other = started(make(), 2), started(make(), 2)
    one.update(news[0])
    other.load_state_dict(one.state_dict())
    for agent in (one, other):
        agent.update(news[1])
    np.testing.assert_array_equal(one.score_cells(CELLS), other.score_cells(CELLS))


def test_feedback_cannot_be_changed() -> None:
    told = feedback(np.zeros((1, 3, 2)), np.zeros((1, 3)))
    with pytest.raises(ValueError, match="read-only"):
        told.influence[0] = 1


def test_registry_builds_every_agent_of_a_corpus(tiny_corpus: Corpus) -> None:
    names = default_agents(tiny_corpus)
    assert names[0] == "null"
    assert {"quality", "match-prose", "match-code", "domain", "topic", "influence"} < set(names)
    agents = make_agents(names, tiny_corpus)
    assert [agent.name for agent in agents] == list(names)
    assert {agent.name for agent in agents if agent.moves} == {"domain", "topic", "influence"}
    moved = make_agents(("null", "quality:moves=true", "novelty"), tiny_corpus)
    assert [(agent.name, agent.moves) for agent in moved] == [("null", False), ("quality", True), ("novelty", True)]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("null", "qualty"), "unknown agent 'qualty'; did you mean 'quality'?"),
        (("quality",), "expected distinct names, null first"),
        (("null", "influence"), "expected at least one of domain, match-code, match-prose, quality, topic"),
        (("null", "topic", "topic:topics=3"), "distinct names"),
        (
            ("null", "perplexity"),
            "the corpus has no labels of agent 'perplexity', only of .* corpus label .* --agents perp",
        ),
        (("null", "match-news"), "no labels of agent 'match-news'"),
        (("null", "quality:move=true"), "agent 'quality' has no setting 'move'; did you mean 'moves'?"),
        (("null", "quality:moves=1"), "agent 'quality': moves is '1', expected true or false"),
        (("null", "topic:topics=x"), "agent 'topic': topics is 'x', expected a value of type int"),
        (("null", "domain:eta=1"), "agent 'domain' has no setting 'eta'; it has none"),
        (("null", "match-prose:x=1"), "agent 'match-prose' has no settings, 'x=1' given"),
    ],
)
def test_bad_names_are_refused(tiny_corpus: Corpus, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_agents(names, tiny_corpus)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("novelty",), "agent 'novelty' does not label text"),
        (("domain",), "agent 'domain' does not label text"),
        (("match", "match-code"), "agent 'match-code' is named twice"),
        (("qualty",), "unknown agent 'qualty'; did you mean 'quality'?"),
    ],
)
def test_bad_labellers_are_refused(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_labellers(names, ("prose", "code"))


def test_match_needs_its_task(tiny_corpus: Corpus) -> None:
    documents = CorpusText(tiny_corpus.texts, tiny_corpus.splits, tiny_corpus.labels["domain"].column)
    (agent,) = make_labellers(("match-news",), ("prose", "code"))
    with pytest.raises(InputError, match="agent 'match-news' matches an unknown task; known: code, prose"):
        agent.fit(documents, np.random.default_rng(0))


def test_static_agents_need_values() -> None:
    with pytest.raises(InputError, match="agent 'quality' is static but its categories have no finite values"):
        started(QualityAgent())


def test_a_column_is_static_with_values_and_moved_without() -> None:
    columns = layout((0.0, 1.0)).columns
    assert not ColumnAgent("quality", columns["quality"]).moves
    assert ColumnAgent("domain", columns["domain"]).moves
