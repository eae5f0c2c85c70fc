"""check_agent: every shipped agent passes, and each mistake of an author is told with its likely cause."""

import random
import threading
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from pretraingym.env import check_agent
from pretraingym.env.agents.base import Agent, Array, Feedback, LabelAgent, Layout
from pretraingym.env.agents.column import ColumnAgent
from pretraingym.env.agents.influence import InfluenceAgent
from pretraingym.env.agents.match import MatchAgent
from pretraingym.env.agents.novelty import NoveltyAgent
from pretraingym.env.agents.plugins import SHIPPED
from pretraingym.env.agents.quality import QualityAgent
from pretraingym.env.documents import Batch, Documents
from pretraingym.env.labels.language_model import LanguageModel
from pretraingym.lm.corpus import Corpus, Labels
from pretraingym.lm.errors import InputError
from pretraingym.lm.synthetic import build_synthetic

Rng = np.random.Generator


@pytest.fixture(scope="module")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """As the tiny one with fewer documents, for agents that take long over each."""
    return build_synthetic(tmp_path_factory.mktemp("corpus") / "small", documents_per_domain=12)


@pytest.mark.parametrize("kind", [*SHIPPED.values(), lambda: MatchAgent("code"), lambda: QualityAgent(moves=True)])
def test_shipped_agents_pass(small_corpus: Corpus, kind: Callable[[], Agent], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LanguageModel.__init__, "__defaults__", (10,))  # steps
    check_agent(kind(), small_corpus)


def test_columns_pass(tiny_corpus: Corpus) -> None:
    for name in ("topic", "match-prose"):
        check_agent(ColumnAgent(name, tiny_corpus.labels[name]), tiny_corpus)


def test_it_leaves_the_agent_and_global_generators_alone(tiny_corpus: Corpus) -> None:
    agent = Short()
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    check_agent(agent, tiny_corpus)
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    assert before == after
    assert vars(agent) == {}


class Short(LabelAgent):
    """A sound agent that labels text; the wrong ones below derive from it."""

    name = "short"

    def measure(self, batch: Batch) -> Array:
        return -np.array([len(text) for text in batch.texts], np.float64)


def labels_of(documents: Documents, **changes: Any) -> Labels:
    """Two categories, sound but for the changes."""
    column = (np.arange(len(documents.texts)) % 2).astype(np.uint16)
    return Labels(**{"names": ("even", "odd"), "values": (0.0, 1.0), "column": column, **changes})


def annotating(**changes: Callable[[Array], Any]) -> type[Short]:
    """A wrong agent whose labels have something of their own, made of the sound column."""

    class Wrong(Short):
        def annotate(self, measured_D: Array, documents: Documents) -> Labels:
            column = labels_of(documents).column
            return labels_of(documents, **{key: change(column) for key, change in changes.items()})

    return Wrong


def measuring(change: Callable[[Array, Batch], Array]) -> type[Short]:
    """A wrong agent that measures something else."""

    class Wrong(Short):
        def measure(self, batch: Batch) -> Array:
            return change(super().measure(batch), batch)

    return Wrong


def fitting(fit: Callable[[Any], object]) -> type[Short]:
    """A wrong agent that learns this from the documents, and multiplies by it if it is a number."""

    class Wrong(Short):
        def fit(self, documents: Documents, rng: Rng) -> None:
            self.learned = fit(documents)

        def measure(self, batch: Batch) -> Array:
            words = np.array([text.count(" ") for text in batch.texts])
            return super().measure(batch) + (self.learned if isinstance(self.learned, float) else 0) * words

    return Wrong


class Uncopied(Short):
    def __init__(self) -> None:
        self.lock = threading.Lock()


class Unlabelled(LabelAgent):
    name = "unheard-of"
    moves = True


class Counting(Short):
    """It numbers the batches."""

    calls = 0

    def measure(self, batch: Batch) -> Array:
        self.calls += 1
        return super().measure(batch) * self.calls


class NotLabels(Short):
    def annotate(self, measured_D: Array, documents: Documents) -> Labels:
        return measured_D.astype(np.uint16)  # type: ignore[return-value]


class Fitted(Short):
    """It needs in a run what it learned before."""

    def fit(self, documents: Documents, rng: Rng) -> None:
        self.mean = 1.0

    def score(self, labels_MA: Array) -> Array:
        return super().score(labels_MA) - self.mean


class Named(Short):
    name = "my agent"


class Flagged(Short):
    moves = 1  # type: ignore[assignment]


def grow(feedback: Feedback) -> Array:
    return np.nan_to_num(feedback.influence).mean(1)


class Sound(Agent):
    """A sound agent without labels, which likes the cells in order, the more the higher influence is; in parts that
    the wrong ones below change."""

    name = "sound"
    moves = True

    def start(self, num_slots: int, layout: Layout) -> None:
        self.slope_N, self.updates_N = np.ones(num_slots), np.zeros(num_slots)

    def score(self, labels_MA: Array) -> Array:
        return self.slope_N[:, None] * np.arange(len(labels_MA))

    def update(self, feedback: Feedback) -> None:
        self.updates_N += 1
        self.slope_N += grow(feedback) / self.updates_N

    def reset(self, slots: Array) -> None:
        self.slope_N[slots], self.updates_N[slots] = 1, 0

    def state_dict(self) -> dict[str, Any]:
        return {"slope": self.slope_N.copy(), "updates": self.updates_N.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.slope_N, self.updates_N = state["slope"].copy(), state["updates"].copy()


def test_the_sound_one_passes(tiny_corpus: Corpus) -> None:
    check_agent(Sound(), tiny_corpus)


def wrong(method: str, body: Callable[..., Any]) -> type[Sound]:
    """A Sound agent with another method."""
    return type("Wrong", (Sound,), {method: body})


def updating(change: Callable[[Any, Feedback], object]) -> type[Sound]:
    """A Sound agent that does one more thing in an update."""
    return wrong("update", lambda self, feedback: (Sound.update(self, feedback), change(self, feedback)))


def unlock(self: Sound, feedback: Feedback) -> None:
    feedback.influence.setflags(write=True)
    feedback.influence[feedback.influence < 0] = 0


def add_to_slope(value: Callable[[Any, Feedback], Any]) -> type[Sound]:
    return updating(lambda self, feedback: self.slope_N.__iadd__(value(self, feedback)))


class OnClass(Sound):
    """Its memory lies on the class."""

    seen: ClassVar[list[int]] = []

    def update(self, feedback: Feedback) -> None:
        self.seen.append(1)
        self.slope_N += len(self.seen)


class OneCounter(Sound):
    """Its counter is not one a run."""

    def start(self, num_slots: int, layout: Layout) -> None:
        super().start(num_slots, layout)
        self.count = 0

    def update(self, feedback: Feedback) -> None:
        self.count += 1
        self.slope_N += self.count


class Noise(NoveltyAgent):
    """Novelty that says nothing of what it takes for unknown."""

    def score_cells(self, cells_CA: Array) -> Array:
        return self.score(cells_CA)


class Writing(InfluenceAgent):
    """It writes into the cells it scores."""

    def score(self, labels_MA: Array) -> Array:
        labels_MA += self.offset_A.astype(np.uint16)
        return self.effect_NQ[:, labels_MA].sum(2)


FAULTS = [
    (Short, r"is no agent; give an object, not the class: Short\(\)"),
    (Named, "has the name 'my agent', expected letters"),
    (Flagged, "agent 'short': moves is 1, expected True or False"),
    (Uncopied, r"cannot be copied \(TypeError: .*lock.*make files, locks and models in fit or start"),
    (Unlabelled, "'unheard-of' needs labels, and the corpus has none of that name, only domain.*define `measure`"),
    (measuring(lambda found, batch: found[:, None]), r"measured \(1096, 1\) of a batch of 1096 documents"),
    (measuring(lambda found, batch: found * np.inf), "an infinite number of document 0: it divides by zero"),
    (measuring(lambda found, batch: found * np.nan), "measured NaN of every training document"),
    (measuring(lambda found, batch: found - found.mean()), r"document 0, and 0 in another batch.*rest of the batch"),
    (Counting, "in another batch: measure must not look at the rest of the batch or count calls"),
    (NotLabels, r"annotate gave ndarray, expected Labels\("),
    (annotating(column=lambda column: column.astype(np.int64)), r"labels are int64, expected uint16: use .astype"),
    (annotating(column=lambda column: column.tolist()), "labels are list, expected uint16"),
    (annotating(column=lambda column: column[:1000]), r"shape \(1000,\), expected \(1096,\): one a document, of all"),
    (annotating(column=lambda column: column - np.uint16(1)), "up to 65535, expected below 2.*a -1 for 'missing'"),
    (annotating(names=lambda column: ("a", "a")), r"names are \('a', 'a'\), expected distinct strings"),
    (annotating(values=lambda column: (1.0, np.nan)), "values are .*nan.*a mean over an empty category is NaN"),
    (annotating(values=lambda column: (1.0,)), "expected None or one finite number for each of 2 categories"),
    (annotating(values=lambda column: None), "is static and its categories have no values: set `moves = True`"),
    (fitting(lambda documents: random.random()), "other labels when it was fitted again: it draws from a global"),
    (fitting(lambda documents: float(np.random.rand())), "other labels when it was fitted again"),  # noqa: NPY002
    (fitting(lambda documents: float(torch.rand(()))), "other labels when it was fitted again"),
    (fitting(lambda documents: float(np.random.default_rng().random())), "other labels when it was fitted again"),
    (fitting(lambda documents: threading.Lock()), r"cannot be sent to other processes once fitted \(TypeError"),
    (Fitted, "score_cells reads self.mean, which it does not have: the agent of a run is a new one"),
    (wrong("score", lambda self, labels: np.zeros(len(labels))), r"gave float64 \(\d+,\), expected float64 \(3, \d+\)"),
    (wrong("score", lambda self, labels: np.zeros((3, len(labels)), int)), "score_cells gave int64"),
    (wrong("score_cells", lambda self, cells: None), "score_cells gave NoneType, expected float64"),
    (wrong("score", lambda self, labels: np.full((3, len(labels)), np.inf)), "NaN or infinite priorities, expected"),
    (Noise, "gave NaN or infinite priorities, expected finite ones of every cell.*`score` alone may say NaN"),
    (Writing, "agent 'influence' writes into what score_cells was given, which all agents share: work on a copy"),
    (updating(lambda self, told: told.influence.__imul__(2)), "agent 'sound' writes into what update was given"),
    (updating(unlock), "agent 'sound' changed feedback.influence, which all agents share"),
    (add_to_slope(lambda self, told: told.influence.mean(1)), "after a probe that tells nothing of one run.*usable"),
    (type("Still", (Sound,), {"moves": False}), "has moves = False, but feedback moved its priorities"),
    (add_to_slope(lambda self, told: random.random()), "other priorities in the same runs: it draws from a global"),
    (OnClass, "other priorities in the same runs: .*or keeps something on its class"),
    (add_to_slope(lambda self, told: grow(told).sum()), "when other runs were beside it: nothing may be shared"),
    (wrong("reset", lambda self, slots: self.slope_N.fill(1)), r"reset\(\[0, 2\]\) changed run 1"),
    (wrong("reset", lambda self, slots: None), "after reset a run goes on otherwise than a new one"),
    (wrong("reset", lambda self, slots: self.slope_N.__setitem__(slots, 1)), "after reset a run goes on otherwise"),
    (
        wrong(
            "load_state_dict", lambda self, state: vars(self).update(slope_N=state["slope"], updates_N=state["updates"])
        ),
        "load_state_dict must copy",
    ),
    (OneCounter, "after reset a run goes on otherwise.*counters too, which need one a run"),
    (wrong("state_dict", lambda self: {"slope": self.slope_N, "updates": 2}), "has 'updates' as int, expected an arr"),
    (wrong("state_dict", lambda self: {"slope": self.slope_N[:1]}), r"has 'slope' as float64 \(1,\).* with 3 rows"),
    (
        wrong("state_dict", lambda self: {"slope": self.slope_N, "updates": self.updates_N}),
        "changed an earlier state: state_dict must copy",
    ),
    (wrong("load_state_dict", lambda self, state: None), "goes on otherwise from a loaded state"),
]


@pytest.mark.parametrize(("kind", "message"), FAULTS)
def test_faults_are_told_with_their_cause(tiny_corpus: Corpus, kind: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        check_agent(kind if kind is Short else kind(), tiny_corpus)
    assert "\n" not in str(error.value)
