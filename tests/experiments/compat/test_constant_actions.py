"""Constant weights as actions."""

import numpy as np

from pretraingym.env.console.action_map import ActionMap
from pretraingym.experiments.compat.constant_actions import action_of


def test_an_action_gives_the_weights_that_it_was_made_of() -> None:
    action_map = ActionMap()
    actions_NK = np.random.default_rng(0).uniform(-1, 1, (50, 7))
    weights_NK = action_map.weights(actions_NK, np.ones((50, 7), bool))
    again_NK = action_of(action_map, weights_NK)
    np.testing.assert_allclose(action_map.weights(again_NK, np.ones((50, 7), bool)), weights_NK, atol=1e-12)


def test_weights_that_no_action_gives_come_near() -> None:
    """All weight on one agent, where the map keeps a floor for the others."""
    action_map, alone_NK = ActionMap(), np.eye(7)[[3]]
    weights_NK = action_map.weights(action_of(action_map, alone_NK), np.ones((1, 7), bool))
    assert weights_NK[0, 3] > 0.97
