"""The learned policies that come with the package: whole, small, and fit for other agents than they met."""

import numpy as np
import pytest

from pretraingym.env.observation.features import AGENT_FEATURES, TRAINING_FEATURES
from pretraingym.env.observation.observation import Observation
from pretraingym.policies.registry import SHIPPED, make_policy, shipped
from pretraingym.policies.saved.learned import LearnedPolicy


def test_there_is_one() -> None:
    assert shipped()


@pytest.mark.parametrize("name", shipped())
def test_it_is_named_and_drives_any_agents(name: str) -> None:
    policy = make_policy(name)
    assert isinstance(policy, LearnedPolicy)
    rng = np.random.default_rng(0)
    for count in (2, 4, 20):
        agents = rng.uniform(-0.5, 0.5, (3, count, len(AGENT_FEATURES))).astype(np.float32)
        training = rng.uniform(0, 0.5, (3, len(TRAINING_FEATURES))).astype(np.float32)
        policy.reset(("null", *(f"agent-{i}" for i in range(count - 1))), 3)
        policy.warns = False  # the numbers are made up: that they are unlike those of training is no concern here
        weights = policy.act(Observation(agents, np.ones((3, count), bool), training))
        np.testing.assert_allclose(weights.sum(1), 1)
    card = policy.card
    assert card.ranges
    assert card.evaluation
    assert card.proxy_runs > 0
    assert "/" not in card.corpus
    assert sum(path.stat().st_size for path in (SHIPPED / name).iterdir()) < 32_000
