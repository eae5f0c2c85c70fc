"""Policies as the command line names them: names of their own, several under one name, and names that clash."""

import numpy as np
import pytest

from pretraingym.env.observation.features import AGENT_FEATURES, TRAINING_FEATURES
from pretraingym.env.observation.observation import Observation
from pretraingym.lm.io.errors import InputError
from pretraingym.policies.named import (
    check_names,
    group_by_shared_name,
    make_policies,
    parse_policies,
    warn_beyond_training,
)


@pytest.mark.parametrize(
    ("given", "name", "members"),
    [
        ("lift", "lift", ("lift",)),
        ("lift:power=1", "lift:power=1", ("lift:power=1",)),
        ("mine=runs/1+runs/2", "mine", ("runs/1", "runs/2")),
        ("runs/quickstart/", "quickstart", ("runs/quickstart/",)),
        ("sure:runs/quickstart/", "sure:quickstart", ("sure:runs/quickstart/",)),
        ("frozen-2:sure:runs/a", "frozen-2:sure:a", ("frozen-2:sure:runs/a",)),
        ("constant:strength=0.3,match=1", "constant:strength=0.3,match=1", ("constant:strength=0.3,match=1",)),
    ],
)
def test_a_name_comes_from_the_text_or_the_path(given: str, name: str, members: tuple[str, ...]) -> None:
    assert list(parse_policies((given,))) == [(name, members)]


def test_several_of_one_name_are_numbered_and_grouped_again() -> None:
    made = make_policies(("two=lift:power=1+lift:power=3", "agreement"), ())
    assert list(made) == ["two#1", "two#2", "agreement"]
    assert group_by_shared_name(list(made)) == {"two": ["two#1", "two#2"], "agreement": ["agreement"]}


def test_a_number_sign_alone_groups_nothing() -> None:
    assert group_by_shared_name(["#3", "a#b"]) == {"#3": ["#3"], "a#b": ["a#b"]}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("lift", "lift"), "policies are called lift, lift, expected different names"),
        (("natural",), "policies are called natural, expected different names, none of them natural"),
        (("runs/a#1",), "a policy is called 'a#1', expected no # in it"),
    ],
)
def test_names_that_clash_are_refused(given: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_names(given)


def test_one_warning_sums_up_what_learned_policies_met() -> None:
    agents = ("null", "a", "b")
    policies = make_policies(("mine=ten-tasks", "early=frozen-1:sure:ten-tasks", "lift"), agents)
    warn_beyond_training(policies)  # nothing was met: it would be an error here
    far = Observation(
        np.full((1, 3, len(AGENT_FEATURES)), 4, np.float32),
        np.ones((1, 3), bool),
        np.full((1, len(TRAINING_FEATURES)), 4, np.float32),
    )
    for _ in range(2):
        for policy in policies.values():
            policy.reset(agents, 1)
            policy.act(far)
            policy.act(far)
    told = (
        r"'mine' in 2 of 2 runs \(4 of 4 decisions\): at the farthest .*; 'early' in 2 of 2 runs \(2 of 2 decisions\): "
    )
    with pytest.warns(UserWarning, match=told) as warned:
        warn_beyond_training(policies)
    assert len(warned) == 1
