"""What an agent's own code raises, or gives in the wrong shape, is one line that names the agent and the place."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pretraingym.env.agents import labelling
from pretraingym.env.agents.base import Agent, LabelAgent, Layout
from pretraingym.env.agents.labelling import label_corpus
from pretraingym.env.agents.plugins import register_agent
from pretraingym.env.gym_envs.single_env import ConsoleEnv
from pretraingym.env.settings.setting import Setting
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.io.errors import InputError


class Broken(LabelAgent):
    """Its methods raise, or give, what it is told."""

    name = "broken"

    def __init__(self, fit: Callable[[], Any] = int, measure: Callable[[Any], Any] = len) -> None:
        self.fitted, self.measured = fit, measure

    def fit(self, documents: Any, rng: np.random.Generator) -> None:
        self.fitted()

    def measure(self, batch: Any) -> Any:
        return self.measured(batch.texts)


def label(corpus: Corpus, agent: LabelAgent) -> None:
    label_corpus(corpus.texts, corpus.splits, corpus.labels["domain"], agents=[agent])


@pytest.mark.parametrize("batch_bytes", [1 << 30, 10_000])  # in this process, and in workers
@pytest.mark.parametrize(
    ("agent", "line"),
    [
        (
            Broken(fit=lambda: {}["x"]),
            r"'broken' failed in fit: KeyError: 'x' \(.*test_agent_answers.py:\d+\); try it with",
        ),
        (
            Broken(measure=lambda texts: texts[0].nosuch),
            r"failed in measure: AttributeError: .*test_agent_answers.py:\d+",
        ),
        (Broken(measure=lambda texts: 1 / 0), r"failed in measure: ZeroDivisionError: division by zero \("),
        (Broken(measure=lambda texts: np.ones((len(texts), 2))), r"measured an array of shape \(\d+, 2\) of a batch"),
        (Broken(measure=lambda texts: ["a"] * len(texts)), "measured a of document 0, expected a real number"),
    ],
)
def test_labelling_tells_the_agent_and_the_place(
    tiny_corpus: Corpus, monkeypatch: pytest.MonkeyPatch, agent: LabelAgent, line: str, batch_bytes: int
) -> None:
    monkeypatch.setattr(labelling, "BATCH_BYTES", batch_bytes)
    with pytest.raises(InputError, match=line) as error:
        label(tiny_corpus, agent)
    assert "\n" not in str(error.value)


def test_an_agent_that_measures_the_same_of_all_is_warned_of(tiny_corpus: Corpus) -> None:
    with pytest.warns(UserWarning, match="'broken' gives all training documents one category"):
        label(tiny_corpus, Broken(measure=lambda texts: np.ones(len(texts))))


class Working(Agent):
    """An agent whose work in a run goes wrong as its subclasses say."""

    def start(self, num_slots: int, layout: Layout) -> None:
        self.num_slots = num_slots

    def score(self, labels: Any) -> Any:
        return np.zeros((self.num_slots, len(labels)))


class FlatScores(Working):
    name = "flat-scores"

    def score(self, labels: Any) -> Any:
        return np.zeros(len(labels))


class NoStart(Working):
    name = "no-start"

    def start(self, num_slots: int, layout: Layout) -> None:
        raise RuntimeError("no model here\nand more")


class NoUpdate(Working):
    name = "no-update"

    def update(self, feedback: Any) -> None:
        feedback.nosuch.sum()


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        (FlatScores, r"'flat-scores': score_cells gave an array of shape \(\d+,\), expected \(2, \d+\): one row a run"),
        (NoStart, r"'no-start' failed in start: RuntimeError: no model here and more \(.*test_agent_answers.py:\d+\)"),
        (NoUpdate, "'no-update' failed in update: AttributeError: 'Feedback' object has no attribute 'nosuch'"),
    ],
)
def test_a_run_tells_the_agent_and_the_place(
    tiny_corpus: Corpus, tiny_setting: Setting, kind: type[Agent], line: str
) -> None:
    register_agent(kind.name, kind)
    setting = replace(tiny_setting, agents=("null", "domain", kind.name, "influence"))

    def run() -> None:
        env = ConsoleEnv(corpus=tiny_corpus.path, setting=setting)
        env.reset(seed=0)
        for _ in range(3):
            env.step(np.zeros(env.action_space.shape or (), np.float32))

    with pytest.raises(InputError, match=line) as error:
        run()
    assert "\n" not in str(error.value)
