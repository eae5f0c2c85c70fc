"""SetActor, checked against the agreement rule it is cloned from, and against permuted, padded and fitted copies."""

import numpy as np
import pytest
import torch

from pretraingym.env.console.action_map import ActionMap
from pretraingym.env.observation.features import AGENT_FEATURES, TRAINING_FEATURES, column
from pretraingym.env.observation.observation import Observation
from pretraingym.lm.io.errors import InputError
from pretraingym.policies.actors.actor import ObservationTensors
from pretraingym.policies.actors.actor_config import SetActorConfig
from pretraingym.policies.actors.set_actor import SetActor
from pretraingym.policies.baselines.rules import Agreement, Lift
from pretraingym.policies.learners.start import HIDDEN
from pretraingym.policies.learners.table import learner_named
from pretraingym.policies.saved.card import PolicyCard
from pretraingym.policies.saved.learned import LearnedPolicy


def random_parts(num_runs: int = 16, num_agents: int = 6, seed: int = 0) -> ObservationTensors:
    rng = torch.Generator().manual_seed(seed)
    agents = torch.randn(num_runs, num_agents, len(AGENT_FEATURES), generator=rng).clamp(-1, 1)
    mask = torch.rand(num_runs, num_agents, generator=rng) < 0.7
    mask[:, 0] = True
    mask[0] = torch.arange(num_agents) == 0  # null alone
    return ObservationTensors(agents, mask, torch.randn(num_runs, len(TRAINING_FEATURES), generator=rng))


def random_actor(hidden: int, config: SetActorConfig | None = None) -> SetActor:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        actor = SetActor(config or SetActorConfig(hidden=hidden), ActionMap())
        for parameter in actor.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return actor


def assert_cloned(actor: SetActor, rule: Agreement | Lift, parts: tuple[torch.Tensor, ...], atol: float) -> None:
    """It chooses the rule's weights where nothing was measured; where the rule is not sure enough and selects nothing,
    it selects a little."""
    agents, mask, training = parts
    training[:, column(TRAINING_FEATURES, "loss_slope")] = 0.1  # the validation loss has not risen
    agents[..., column(AGENT_FEATURES, "agreement_t")] = 0.0
    wanted = rule.act(Observation(agents.numpy(), mask.numpy(), training.numpy()))
    weights = actor.weights(agents, mask, training)
    selects = (wanted[:, 0] < 1) | (mask.numpy()[:, 1:].sum(1) == 0)
    assert selects.any()
    np.testing.assert_allclose(weights[selects], wanted[selects], atol=atol)
    assert (weights[~selects, 0] > 0.9).all()


@pytest.mark.parametrize("hidden", [0, 8])
@pytest.mark.parametrize(
    "rule", [Agreement(0.4, 0.3), Lift(1.5, 0.5, 0.3), Agreement(0.4, 0.3, 1.5), Lift(1.5, 0.5, 0.3, 2.0)]
)
def test_a_clone_chooses_the_weights_of_its_rule(hidden: int, rule: Agreement | Lift) -> None:
    actor = random_actor(hidden)
    actor.action_map = ActionMap(scale=6.0, floor=0.0)
    actor.clone(rule)
    assert_cloned(actor, rule, random_parts(), 1e-6)


@pytest.mark.parametrize("algorithm", ["cma-es", "ppo"])
def test_learning_starts_from_the_lift_rule(algorithm: str) -> None:
    actor = learner_named(algorithm).start_actor(ActionMap(scale=20.0, floor=0.0), ("null", "a"), 0)
    assert_cloned(actor, Lift(), random_parts(), 1e-5)


@pytest.mark.parametrize(("algorithm", "hidden"), [("cma-es", 0), ("ppo", HIDDEN)])
def test_learning_goes_on_from_a_learned_policy(algorithm: str, hidden: int, card: PolicyCard) -> None:
    """Whichever algorithm goes on: with a network, where it wants one, that changes nothing yet."""
    known, parts = random_actor(0), random_parts()
    actor = learner_named(algorithm).start_actor(known.action_map, ("null", "a"), 0, LearnedPolicy(known, card))
    assert isinstance(actor, SetActor)
    assert actor.config.hidden == hidden
    np.testing.assert_allclose(actor.weights(*parts), known.weights(*parts), atol=1e-6)
    with torch.no_grad():
        actor.trust.weight.fill_(0)
    assert known.trust.weight.any()  # a copy
    with pytest.raises(InputError, match=r"was learned with ActionMap\(scale=4.0.*, expected ActionMap\(scale=9"):
        learner_named(algorithm).start_actor(ActionMap(scale=9.0), ("null", "a"), 0, LearnedPolicy(known, card))


def test_too_wide_a_range_clips_the_lowest_weights_alone() -> None:
    actor = random_actor(0)
    actor.action_map = ActionMap(scale=1.0, floor=0.0)
    actor.clone(Agreement(0.1, 0.3))
    agents, mask, training = random_parts()
    rule = Agreement(0.1, 0.3).act(Observation(agents.numpy(), mask.numpy(), training.numpy()))
    weights = actor.weights(agents, mask, training)
    high = rule / actor.action_map.base(mask.numpy()).clip(1e-9)
    kept = mask.numpy() & (high > high.max(1, keepdims=True) * np.exp(-1.9))
    ratio = np.where(kept, weights / np.where(kept, rule, 1), np.nan)
    np.testing.assert_allclose(np.nanmax(ratio, 1), np.nanmin(ratio, 1), rtol=1e-5)


@pytest.mark.parametrize("hidden", [0, 8])
def test_agents_in_another_order_get_the_same_actions(hidden: int) -> None:
    actor, (agents, mask, training) = random_actor(hidden), random_parts()
    order = torch.tensor([0, 4, 2, 5, 1, 3])
    with torch.no_grad():
        difference = actor(agents, mask, training)[:, order] - actor(agents[:, order], mask[:, order], training)
    assert difference.abs().max() < 1e-6


@pytest.mark.parametrize("hidden", [0, 8])
def test_absent_and_padded_rows_change_nothing(hidden: int) -> None:
    actor, (agents, mask, training) = random_actor(hidden), random_parts()
    nonsense = agents.masked_fill(~mask[..., None], float("nan"))
    padded = torch.cat([nonsense, torch.full_like(agents[:, :3], float("inf"))], 1)
    padded_mask = torch.cat([mask, torch.zeros_like(mask[:, :3])], 1)
    with torch.no_grad():
        action = actor(padded, padded_mask, training)
        assert (action[:, :6] - actor(agents, mask, training)).abs().max() < 1e-6
    assert (action[~padded_mask] == 0).all()


@pytest.mark.parametrize("hidden", [0, 8])
def test_gradients_are_finite_with_absent_agents_and_null_alone(hidden: int) -> None:
    actor, parts = random_actor(hidden), random_parts()
    actor(*parts).square().sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in actor.parameters())


@pytest.mark.parametrize("num_agents", [1, 2, 30])
def test_any_number_of_agents(num_agents: int) -> None:
    weights = random_actor(8).weights(*random_parts(num_agents=num_agents))
    np.testing.assert_allclose(weights.sum(1), 1)


def test_a_linear_actor_is_small_enough_for_evolution() -> None:
    count = sum(parameter.numel() for parameter in random_actor(0).parameters())
    config = SetActorConfig()
    assert count == len(config.trust) + len(config.strength) + 1 <= 20


def typical(name: str) -> tuple[float, float]:
    return AGENT_FEATURES[column(AGENT_FEATURES, name)].typical


def test_every_feature_has_a_typical_mean_and_spread() -> None:
    for feature in (*AGENT_FEATURES, *TRAINING_FEATURES):
        mean, spread = feature.typical
        assert feature.low <= mean <= feature.high
        assert 0 < spread <= feature.high - feature.low


def test_features_are_read_by_name() -> None:
    config = SetActorConfig(trust=("lift_mean",), strength=("scarcity",))
    actor, (agents, mask, training) = random_actor(0, config), random_parts()
    before = actor.weights(agents, mask, training)
    names = [feature.name for feature in AGENT_FEATURES]
    agents[..., [index for index, name in enumerate(names) if name != "lift_mean"]] = 0.77
    np.testing.assert_array_equal(actor.weights(agents, mask, training), before)


def test_pooled_features_are_over_the_agents_present_and_not_null() -> None:
    config = SetActorConfig(trust=("agreement",), strength=("max.lift_mean", "trusted.lift_mean"))
    actor, (agents, mask, training) = random_actor(0, config), random_parts()
    actor.action_map = ActionMap(scale=50.0, floor=0.0)
    names = [feature.name for feature in AGENT_FEATURES]
    agents[..., names.index("lift_mean")] -= 3.0  # all below the zeros of absent rows
    agreement, lift = (agents[..., names.index(name)].double().numpy() for name in ("agreement", "lift_mean"))
    others = mask.numpy() & (np.arange(6) > 0)
    trust = np.exp(agreement * actor.trust.weight.item() / typical("agreement")[1]) * others
    with_others = others.any(1)
    trust = trust[with_others] / trust[with_others].sum(1, keepdims=True)
    pooled = np.where(others, lift, -np.inf).max(1)[with_others], (trust * lift[with_others]).sum(1)
    mean, spread = typical("lift_mean")
    bias, weight = actor.strength.bias.item(), actor.strength.weight[0].detach().numpy()
    logit = bias + weight[0] * (pooled[0] - mean) / spread + weight[1] * (pooled[1] - mean) / spread
    weights = actor.weights(agents, mask, training)[with_others]
    np.testing.assert_allclose(1 - weights[:, 0], 1 / (1 + np.exp(-logit)), atol=1e-5)
    np.testing.assert_allclose(weights[:, 1:], (1 - weights[:, :1]) * trust[:, 1:], atol=1e-5)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: SetActorConfig(trust=("agrement",)), "did you mean 'agreement'?"),
        (lambda: SetActorConfig(strength=("min.lift_mean",)), "strength feature 'min.lift_mean' is not supplied"),
        (lambda: SetActorConfig(trust=("ridge", "ridge")), "none twice"),
        (lambda: SetActorConfig(hidden=-1), "hidden is -1"),
        (lambda: random_actor(0, SetActorConfig(trust=("ridge",))).clone(Agreement(0.1, 0.2)), "needs 'agreement'"),
        (lambda: random_actor(0).clone(Agreement(0.1, 1.0)), "strength is 1.0"),
        (
            lambda: random_actor(0, SetActorConfig(strength=("progress",))).clone(Lift(evidence=1.0)),
            "needs 'evidence'",
        ),
    ],
)
def test_bad_input_is_told_in_one_line(make: object, expected: str) -> None:
    with pytest.raises(InputError, match=r"^[^\n]*$") as error:
        make()  # type: ignore[operator]
    assert expected in str(error.value)
