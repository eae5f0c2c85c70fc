"""Response surface: what it regresses on, what it finds, and that it stays where something is known."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from pretraingym.env.console.action_map import ActionMap
from pretraingym.policies.actors.actor import ObservationTensors, other_agents
from pretraingym.policies.actors.set_actor import SetActor, SetActorConfig
from pretraingym.policies.learners.response import RADIUS, STEP, ResponseSurface
from pretraingym.policies.sb3.vec_env import SB3ConsoleVecEnv

CONFIG = SetActorConfig(trust=("lift_log", "agreement"), strength=("progress", "trusted.lift_log"))
FLAT = ActionMap(scale=20.0, floor=0.0)
# Places of the terms: the strength's features, 1, the trust's features, two curvatures.
BIAS = len(CONFIG.strength)
TRUST = slice(BIAS + 1, BIAS + 1 + len(CONFIG.trust))
STRENGTH_CURVATURE, SHARE_CURVATURE, NUM_TERMS = TRUST.stop, TRUST.stop + 1, TRUST.stop + 2


@pytest.fixture
def search(toy: Callable[..., Any]) -> ResponseSurface:
    actor = SetActor(CONFIG, FLAT)
    with torch.no_grad():
        actor.trust.weight.copy_(torch.tensor([[0.5, 1.0]]))
    return ResponseSurface(SB3ConsoleVecEnv(toy(16, 8)), actor)


def show(search: ResponseSurface) -> ObservationTensors:
    search._last_obs = search.env.reset()
    return search.seen()


def same_in_all_runs(seen: ObservationTensors) -> ObservationTensors:
    """What the first run sees for all: so each sees its group's mean."""
    return ObservationTensors(*(part[:1].expand_as(part) for part in seen))


def test_the_rules_own_weights_are_no_change(search: ResponseSurface) -> None:
    seen = same_in_all_runs(show(search))
    weights = search.rule.log_weights(*seen).exp()
    np.testing.assert_allclose(search._step_terms(seen, weights), 0, atol=1e-5)


def test_the_terms_are_those_of_the_change(search: ResponseSurface) -> None:
    """Strength up by .7 in log-odds, and the log-share of one agent by .4."""
    seen = same_in_all_runs(show(search))
    logs = search.rule.log_weights(*seen)
    share = logs[:, 1:].softmax(1)
    moved = torch.cat([torch.zeros_like(logs[:, :1]), share.log()], 1)
    moved[:, 1] += 0.4
    odds = logs[:, 1:].logsumexp(1) - logs[:, 0] + 0.7
    weights = torch.cat([torch.ones_like(odds)[:, None], moved[:, 1:].softmax(1) * odds.exp()[:, None]], 1)
    terms = search._step_terms(seen, weights / weights.sum(1, keepdim=True))
    assert terms.shape == (16, NUM_TERMS)
    np.testing.assert_allclose(terms[:, BIAS], 0.7, atol=1e-4)
    np.testing.assert_allclose(terms[:, STRENGTH_CURVATURE], -(0.7**2), atol=1e-4)
    first = share[:, 0].double().detach().numpy()
    np.testing.assert_allclose(terms[:, SHARE_CURVATURE], -(0.4**2) * first * (1 - first), atol=1e-4)
    features = search.rule.trust_features(seen.agents, other_agents(seen.mask))[:, 1:]
    own = features - (share[..., None] * features).sum(1, keepdim=True)
    np.testing.assert_allclose(terms[:, TRUST], (0.4 * share[:, :1] * own[:, 0]).detach(), atol=1e-4)


def test_the_fit_finds_the_surface_through_noise(search: ResponseSurface) -> None:
    """Groups of which one is ten times as wide, as scenarios are, and runs with a level of their group's."""
    rng = np.random.default_rng(0)
    wanted = np.array([0.03, -0.02, 0.0, 0.01, 0.05, 0.03, 0.02])
    for _ in range(300):
        terms = rng.normal(size=(8, NUM_TERMS)) * 0.5
        scale = 10.0 if rng.random() < 0.1 else 1.0
        search._terms.append(terms)
        search._returns.append(terms @ wanted + rng.normal() + scale * 0.02 * rng.normal(size=8))
    np.testing.assert_allclose(search.fit(), wanted, atol=0.005)


def test_it_goes_to_the_best_change_but_not_far(search: ResponseSurface) -> None:
    actor = search.policy.actor
    assert isinstance(actor, SetActor)
    search._move(np.array([0.01, 0.0, -0.02, 0.0, 0.4, 0.05, 0.001]))
    np.testing.assert_allclose(actor.strength.weight.detach().numpy(), [[0.1 * STEP, 0.0]], rtol=1e-6)
    assert actor.strength.bias.item() == pytest.approx(search.rule.strength.bias.item() - 0.2 * STEP)
    np.testing.assert_allclose(actor.trust.weight.detach().numpy(), [[0.5, 1.0 + RADIUS * STEP]], rtol=1e-6)


def test_slots_try_mirrored_changes(search: ResponseSurface) -> None:
    noise = search._noise(3).reshape(2, 2, 4, 3)  # groups, halves
    assert torch.equal(noise[:, 0], -noise[:, 1])
    assert noise[0, 0].std() > 0.5
    assert not torch.equal(noise[0], noise[1])
