"""Schedules and expected gains: the actors that are not set actors, what they mean, and learning them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pretraingym.env.console.action_map import ActionMap
from pretraingym.env.observation.features import AGENT_FEATURES, TRAINING_FEATURES, column
from pretraingym.env.observation.observation import Observation
from pretraingym.lm.io.errors import InputError
from pretraingym.policies.actors.actor import Actor, ObservationTensors
from pretraingym.policies.actors.gain_actor import GainActor, GainConfig
from pretraingym.policies.actors.schedule_actor import ScheduleActor, ScheduleConfig
from pretraingym.policies.learners.regression import Trials
from pretraingym.policies.learners.table import learner_named
from pretraingym.policies.saved.card import PolicyCard
from pretraingym.policies.saved.learned import LearnedPolicy
from pretraingym.policies.saved.storage import load_policy, save_policy
from pretraingym.policies.sb3.vec_env import SB3ConsoleVecEnv

AGENTS = ("null", "quality", "match-a", "match-b", "influence")
WIDE = ActionMap(scale=20.0, floor=0.0)


def parts(batch: int = 6, num_agents: int = len(AGENTS)) -> ObservationTensors:
    generator = torch.Generator().manual_seed(0)
    agents = torch.rand(batch, num_agents, len(AGENT_FEATURES), generator=generator) * 2 - 1
    mask = torch.rand(batch, num_agents, generator=generator) < 0.7
    mask[:, 0] = True
    training = torch.rand(batch, len(TRAINING_FEATURES), generator=generator)
    return ObservationTensors(agents, mask, training)


def gain_actor(seed: int = 0) -> GainActor:
    actor = GainActor(GainConfig(), WIDE)
    with torch.no_grad():
        actor.coefficients.normal_(generator=torch.Generator().manual_seed(seed))
        actor.coefficients[actor.config.num_terms : -1] -= 0.5
    return actor


def test_a_schedule_goes_straight_from_knot_to_knot() -> None:
    actor = ScheduleActor(ScheduleConfig(("influence", "match", "quality"), knots=3), WIDE)
    with torch.no_grad():
        actor.strength.copy_(torch.tensor([0.0, 1.0, -1.0]))
        actor.shares.copy_(torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 2.0], [0.0, 2.0, 0.0]]))
    actor.bind(AGENTS)
    agents, mask, training = parts()
    mask[:] = True
    match_a, match_b = AGENTS.index("match-a"), AGENTS.index("match-b")
    mask[3, match_a] = False
    training[:4, column(TRAINING_FEATURES, "progress")] = torch.tensor([0.0, 0.25, 1.0, 0.5])
    weights = actor.weights(agents, mask, training)
    np.testing.assert_allclose(weights.sum(1), 1)
    np.testing.assert_allclose(weights[0], [0.5, 1 / 6, 1 / 12, 1 / 12, 1 / 6], atol=1e-6)
    odds = np.exp([0.5, 0.0, 1.0])  # influence, match, quality
    strength, share = 1 / (1 + np.exp(-0.5)), odds / odds.sum()
    expected = [1 - strength, *(strength * share[[2, 1, 1, 0]] * [1, 0.5, 0.5, 1])]
    np.testing.assert_allclose(weights[1], expected, atol=1e-6)
    np.testing.assert_allclose(weights[2, 0], 1 - 1 / (1 + np.e), atol=1e-6)
    share = np.exp([1.0, 0.0, 2.0]) / np.exp([1.0, 0.0, 2.0]).sum()
    of_match = share[1] / (1 + np.exp(-1.0))  # the other takes it all
    np.testing.assert_allclose(weights[3, [match_a, match_b]], [0, of_match], atol=1e-6)
    with pytest.raises(InputError, match="these weights know no agent 'topic'"):
        actor.bind(("null", "topic"))


def test_expected_gain_is_what_the_design_says() -> None:
    """Linear in strength and shares as the formula has it, 0 for natural, and absent agents count for nothing."""
    actor, (agents, mask, training) = gain_actor(), parts()
    present = mask.clone()
    present[:, 0] = False
    weights = torch.where(present, torch.rand(mask.shape, generator=torch.Generator().manual_seed(1)) / 5, 0.0)
    weights[:, 0] = 1 - weights.sum(1)
    design = actor.design(weights, agents, mask, training)
    terms = actor.terms(agents, mask, training)
    size = actor.config.num_terms
    worth, cost, c = (terms @ actor.coefficients[:size], terms @ actor.coefficients[size:-1], actor.coefficients[-1])
    strength = 1 - weights[:, 0]
    shares = torch.where(present, weights / strength[:, None].clamp(min=1e-9), 0.0)
    expected = strength * (shares * worth).sum(1) + strength**2 * (shares * cost).sum(1)
    expected = expected + strength * c * shares.square().sum(1)
    torch.testing.assert_close(design @ actor.coefficients, expected, rtol=1e-4, atol=1e-5)
    natural = torch.zeros_like(weights)
    natural[:, 0] = 1
    assert (actor.design(natural, agents, mask, training) == 0).all()


def test_the_weights_taken_are_about_the_best() -> None:
    actor, given = gain_actor(), parts(64)
    agents, mask, training = given

    def expected(weights: np.ndarray) -> np.ndarray:
        design = actor.design(torch.from_numpy(weights).float(), agents, mask, training)
        return (design @ actor.coefficients).detach().numpy()

    chosen, best = expected(actor.weights(*given)), np.zeros(64)
    rng = np.random.default_rng(0)
    for _ in range(3000):
        shares = np.where(mask, rng.gamma(0.3, size=mask.shape) + 1e-9, 0.0)
        shares[:, 0] = 0
        strength = rng.uniform(0, 0.6, (64, 1)) * (shares.sum(1, keepdims=True) > 0)
        weights = strength * shares / np.maximum(shares.sum(1, keepdims=True), 1e-12)
        weights[:, 0] = 1 - weights.sum(1)
        best = np.maximum(best, expected(weights))
    assert best.max() > 1
    assert (chosen > 0.9 * best)[best > 0.1].all()
    assert (chosen[best <= 0.1] > -0.5).all()  # nothing to gain: next to nothing is pushed


@pytest.mark.parametrize("make", [gain_actor])
def test_order_and_padding_change_nothing(make: Callable[[], Actor]) -> None:
    actor, (agents, mask, training) = make(), parts()
    weights = actor.weights(agents, mask, training)
    order = [0, 3, 1, 4, 2]
    np.testing.assert_allclose(actor.weights(agents[:, order], mask[:, order], training), weights[:, order], atol=1e-6)
    wider = (
        torch.cat([agents, torch.full_like(agents[:, :2], 7.0)], 1),
        torch.cat([mask, torch.zeros_like(mask[:, :2])], 1),
    )
    np.testing.assert_allclose(actor.weights(*wider, training)[:, :5], weights, atol=1e-6)


def test_a_fit_finds_the_coefficients_and_says_how_well() -> None:
    rng = np.random.default_rng(0)
    design, true = rng.normal(size=(400, 7)) * [1, 10, 0.1, 1, 1, 1, 1], rng.normal(size=7)
    scenario = np.repeat(np.arange(50), 8)
    clean = Trials(design, design @ true, scenario)
    coefficients, explained = clean.fit()
    np.testing.assert_allclose(coefficients, true, rtol=0.05, atol=0.02)
    assert explained > 0.99
    _, explained = Trials(design, rng.normal(size=400), scenario).fit()
    assert explained < 0.05


@pytest.mark.parametrize("algorithm", ["regression", "best-static", "regmix", "d-optimal", "schedule"])
def test_learners_reach_what_their_actors_can(
    algorithm: str, toy: Callable[..., Any], toy_gain: Callable[..., float], card: PolicyCard
) -> None:
    """On the toy the right agent is the one with the most lift: regression finds it, weights that look at nothing
    cannot gain more than 0, which is natural's."""
    env = SB3ConsoleVecEnv(toy(16, 8))
    names = env.get_attr("agent_names")[0]
    if algorithm == "regression":
        actor: Actor = GainActor(GainConfig(("lift_mean", "agreement", "ridge"), ("lift_mean",)), ActionMap())
    else:
        actor = ScheduleActor(ScheduleConfig(names[1:], 3 if algorithm == "schedule" else 1), ActionMap())
        actor.bind(names)
    start = toy_gain(LearnedPolicy(actor, card))
    model = learner_named(algorithm).make_algorithm(env, actor, seed=0)
    model.learn(40 * 16 * 4)
    gain = toy_gain(LearnedPolicy(model.policy.actor, card))  # type: ignore[union-attr, arg-type]
    if algorithm == "regression":
        assert gain > 0.2  # of 1.05, but the best agent counts alone there, which nothing linear knows
    else:
        assert start < -0.3
        assert (-0.25 if algorithm in ("regmix", "d-optimal") else -0.15) < gain < 0.1  # it picks from what was tried


def test_what_was_learned_from_first_observations_decides_once(card: PolicyCard) -> None:
    policy, again = (LearnedPolicy(gain_actor(), card) for _ in range(2))
    for each in (policy, again):
        each.reset(AGENTS, 6)
    agents, mask, training = (part.numpy() for part in parts())
    first = policy.act(Observation(agents, mask, training))
    later = Observation(np.flip(agents, 0).copy(), mask, training)
    np.testing.assert_array_equal(policy.act(later), first)
    again.load_state_dict(policy.state_dict())
    np.testing.assert_array_equal(again.act(later), first)
    policy.reset(AGENTS, 6)
    assert (policy.act(later) != first).any()


@pytest.mark.parametrize("actor", [gain_actor(), ScheduleActor(ScheduleConfig(("a", "b"), 2), WIDE)])
def test_what_is_loaded_is_what_was_saved(actor: Actor, card: PolicyCard, tmp_path: Path) -> None:
    save_policy(tmp_path, LearnedPolicy(actor, card))
    loaded = load_policy(tmp_path).actor
    assert type(loaded) is type(actor)
    assert loaded.config == actor.config
    for name, value in actor.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
