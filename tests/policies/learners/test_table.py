"""The table of learners: whoever is in it can be named, begins where it says and can be saved; nobody else can."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

from pretraingym.env.console.action_map import ActionMap
from pretraingym.experiments.command_line.parsing import parse
from pretraingym.experiments.commands.train_console import LearnConfig
from pretraingym.lm.io.errors import InputError
from pretraingym.policies import learners
from pretraingym.policies.actors.set_actor import SetActor
from pretraingym.policies.baselines.rules import Agreement
from pretraingym.policies.learners.table import LEARNERS, Learner, learner_named
from pretraingym.policies.saved.card import learner_name

README = Path(__file__).parents[3] / "README.md"
AGENTS = ("null", "quality", "match-a", "match-b")
each_learner = pytest.mark.parametrize("learner", LEARNERS.values(), ids=list(LEARNERS))


@each_learner
def test_a_learner_has_a_name_that_its_policies_can_carry(learner: Learner) -> None:
    assert learner_named(learner.name) is learner
    learner_name(learner.name, "the card's algorithm")
    assert learner.name in README.read_text(), "the README lists every learner"


@each_learner
def test_a_learner_begins_with_the_start_if_it_takes_one(learner: Learner) -> None:
    rule = Agreement(0.3, 0.2)
    actor = learner.start_actor(ActionMap(), AGENTS, 0, rule)
    assert isinstance(actor, SetActor) == learner.takes_start
    if isinstance(actor, SetActor):
        clone = SetActor(actor.config, ActionMap())
        clone.clone(rule)
        for name in ("trust.weight", "strength.weight", "strength.bias"):
            assert actor.get_parameter(name).equal(clone.get_parameter(name)), name


def test_every_learner_gives_a_command_that_runs_it() -> None:
    """In the docstring of its module, with the flags of today."""
    named = set()
    for module in pkgutil.iter_modules(learners.__path__):
        about = importlib.import_module(f"{learners.__name__}.{module.name}").__doc__ or ""
        for command in re.findall(r"^ +pretraingym (train-console(?:.*\\\n)*.*)", about, re.MULTILINE):
            _, config = parse(command.replace("\\\n", " ").split())
            named.add(config.learn.algorithm)
    assert named == set(LEARNERS)


@pytest.mark.parametrize("make", [learner_named, lambda name: LearnConfig(algorithm=name)], ids=["table", "command"])
def test_an_unknown_learner_is_refused(make: object) -> None:
    refusal = r"^unknown learner 'cmaes'; did you mean 'cma-es'\? known: best-static, [^\n]*$"
    with pytest.raises(InputError, match=refusal):
        make("cmaes")  # type: ignore[operator]
