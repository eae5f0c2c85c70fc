"""check_agent on agents at work: each mistake of an author is told with its likely cause."""

import random
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest

from pretraingym.env import check_agent
from pretraingym.env.agents.base import Agent, Array, Feedback, Layout
from pretraingym.env.agents.influence import InfluenceAgent
from pretraingym.env.agents.novelty import NoveltyAgent
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.io.errors import InputError


def grow(feedback: Feedback) -> Array:
    return np.nan_to_num(feedback.influence).mean(1)


class Sound(Agent):
    """A sound agent without labels, which likes the cells in order, the more the higher influence is; in parts that
    the wrong ones below change."""

    name = "sound"
    moves = True

    def start(self, num_slots: int, layout: Layout) -> None:
        self.slope_N, self.updates_N = np.ones(num_slots), np.zeros(num_slots)

    def score(self, labels: Array) -> Array:
        return self.slope_N[:, None] * np.arange(len(labels))

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

    def score(self, labels: Array) -> Array:
        labels += self.offset_A.astype(np.uint16)
        return self.effect_NQ[:, labels].sum(2)


FAULTS = [
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
    (wrong("state_dict", lambda self: {"slope": self.slope_N[:1]}), r"has 'slope' as float64 \(1,\).* of length 3"),
    (
        wrong("state_dict", lambda self: {"slope": self.slope_N, "updates": self.updates_N}),
        "changed an earlier state: state_dict must copy",
    ),
    (wrong("load_state_dict", lambda self, state: None), "goes on otherwise from a loaded state"),
]


@pytest.mark.parametrize(("kind", "message"), FAULTS)
def test_faults_are_told_with_their_cause(tiny_corpus: Corpus, kind: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        check_agent(kind(), tiny_corpus)
    assert "\n" not in str(error.value)
