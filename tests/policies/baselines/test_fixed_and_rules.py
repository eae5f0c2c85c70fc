"""Fixed policies and rules, checked against their formulas on hand-made observations."""

import numpy as np
import pytest

from pretraingym.env.observation.features import AGENT_FEATURES, T_UNIT, TRAINING_FEATURES, column
from pretraingym.env.observation.observation import Observation
from pretraingym.lm.io.errors import InputError
from pretraingym.policies.base import Policy, mix
from pretraingym.policies.baselines.rules import AGAINST, FOR, Agreement, Lift, PaperRule, Ridge
from pretraingym.policies.named import check_names
from pretraingym.policies.registry import POLICIES, make_policy

AGENTS = ("null", "quality", "domain", "match-prose")


def observation(seed: int = 0, num_runs: int = 3) -> Observation:
    rng = np.random.default_rng(seed)
    agents = rng.uniform(-1, 1, (num_runs, len(AGENTS), len(AGENT_FEATURES))).astype(np.float32)
    mask = np.ones((num_runs, len(AGENTS)), bool)
    mask[1, 2] = False  # one agent is absent
    mask[2, 1:] = False  # null is alone
    return Observation(agents, mask, np.zeros((num_runs, len(TRAINING_FEATURES)), np.float32))


def feature(seen: Observation, name: str) -> np.ndarray:
    return seen.agents[..., column(AGENT_FEATURES, name)].astype(np.float64)


@pytest.mark.parametrize("name", [*POLICIES, "only:quality", "domain", "constant:strength=0.3,match=1,quality=2"])
def test_weights_are_on_the_simplex_and_absent_agents_get_none(name: str) -> None:
    policy = make_policy(name, AGENTS)
    policy.reset(AGENTS, 3)
    seen = observation()
    for _ in range(3):
        weights = policy.act(seen)
        assert weights.dtype == np.float64
        np.testing.assert_allclose(weights.sum(1), 1, atol=1e-12)
        assert (weights >= 0).all()
        assert (weights[~seen.mask] == 0).all()
        assert weights[2, 0] == 1
    assert policy.describe()


def test_fixed_weights() -> None:
    seen = observation()
    assert make_policy("natural").act(seen)[0].tolist() == [1, 0, 0, 0]
    np.testing.assert_allclose(make_policy("uniform").act(seen)[:2], [[0, 1 / 3, 1 / 3, 1 / 3], [0, 0.5, 0, 0.5]])
    alone = make_policy("domain", AGENTS)
    alone.reset(AGENTS, 3)
    assert alone.act(seen).tolist() == [[0, 0, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0]]


def test_agreement_is_a_softmax_over_the_agents_present() -> None:
    seen = observation()
    odds = np.exp(feature(seen, "agreement") / 0.2)
    weights = Agreement(temperature=0.2, strength=0.4).act(seen)
    np.testing.assert_allclose(weights[0, 1:], 0.4 * odds[0, 1:] / odds[0, 1:].sum())
    np.testing.assert_allclose(weights[1, [1, 3]], 0.4 * odds[1, [1, 3]] / odds[1, [1, 3]].sum())
    np.testing.assert_allclose(weights[:2, 0], 0.6)


def told(lift_sure: float, agreement_t: float, loss_fall: float = 0.1, loss_slope: float = 0.2) -> Observation:
    """An observation with these features, the t-statistic as it is."""
    seen = observation()
    seen.agents[..., column(AGENT_FEATURES, "lift_sure")] = lift_sure
    seen.agents[..., column(AGENT_FEATURES, "agreement_t")] = agreement_t / T_UNIT
    columns = [column(TRAINING_FEATURES, name) for name in ("loss_fall", "loss_slope")]
    seen.statistics[:, columns] = loss_fall, loss_slope
    return seen


@pytest.mark.parametrize(("lift", "expected"), [(2.0, 0.4), (0.5, 1 / 7), (0.41, 0.10078), (0.39, 0.0), (0.0, 0.0)])
def test_a_strength_that_follows_what_is_sure(lift: float, expected: float) -> None:
    """Odds of the strength times the trusted agents' sure lift, to the power: all of it where the lift is sure."""
    for rule in (Agreement(0.2, 0.4, 2.0), Ridge(0.2, 0.4, 2.0), Lift(2.0, 0.2, 0.4, 2.0), PaperRule(0.1, 0.4, 2.0)):
        rule.reset(AGENTS, 3)
        np.testing.assert_allclose(1 - rule.act(told(lift, 9.0))[:2, 0], expected, rtol=1e-3, err_msg=rule.describe())


@pytest.mark.parametrize(("t", "share"), [(9.0, 1.0), (FOR, 1.0), (0.0, -AGAINST / (FOR - AGAINST)), (AGAINST, 0.0)])
def test_a_strength_that_follows_what_was_measured(t: float, share: float) -> None:
    odds = share * 0.4 / 0.6
    np.testing.assert_allclose(1 - Lift(strength=0.4).act(told(2.0, t))[:2, 0], odds / (1 + odds), atol=1e-7)


def test_evidence_stops_where_the_validation_loss_rose() -> None:
    """By more than chance, whichever way the first interval went; a rule of constant strength goes on."""
    cases = ((0.05, 0.2, 0.3), (-0.05, -0.2, 0.0), (-0.005, -0.2, 0.3), (0.05, -0.2, 0.0), (-0.05, 0.2, 0.3))
    for change, slope, expected in cases:
        seen = told(2.0, 9.0, change, slope)
        np.testing.assert_allclose(1 - Lift(strength=0.3).act(seen)[:2, 0], expected)
        np.testing.assert_allclose(1 - Lift(strength=0.3, evidence=0).act(seen)[:2, 0], 0.3)


def test_evidence_as_rounded_and_refused() -> None:
    assert "its odds times sure lift to the power 2" in Lift().describe()
    for strength in (0.7, 1 - 1e-9):  # as rounded, no weight is below 0
        seen, sure = told(0.0, 1.0), column(AGENT_FEATURES, "lift_sure")
        seen.agents[..., sure] = np.random.default_rng(0).uniform(0, 1.2, seen.mask.shape)
        assert (Lift(strength=strength).act(seen) >= 0).all()
    with pytest.raises(InputError, match="evidence is -1, expected a power from 0 up"):
        Lift(evidence=-1)
    with pytest.raises(InputError, match="strength is 1, whose odds no evidence lowers"):
        Lift(strength=1.0)


def test_constant_weights_go_by_agent_or_family() -> None:
    agents = ("null", "quality", "match-a", "match-b", "influence")
    mask = np.array([[1, 1, 1, 1, 1], [1, 0, 1, 0, 1], [1, 0, 0, 0, 1]], bool)
    features = np.zeros((3, 5, len(AGENT_FEATURES)), np.float32)
    seen = Observation(features, mask, np.zeros((3, len(TRAINING_FEATURES)), np.float32))
    policy = make_policy("constant:strength=0.6,match=2,quality=1")
    policy.reset(agents, 3)
    expected = [[0.4, 0.2, 0.2, 0.2, 0], [0.4, 0, 0.6, 0, 0], [1, 0, 0, 0, 0]]
    np.testing.assert_allclose(policy.act(seen), expected)
    policy = make_policy("constant:strength=0.6,match-b=2,match=1,influence=3")
    policy.reset(agents, 3)
    expected = [[0.4, 0, 0.1, 0.2, 0.3], [0.4, 0, 0.15, 0, 0.45], [0.4, 0, 0, 0, 0.6]]
    np.testing.assert_allclose(policy.act(seen), expected)


def test_a_frozen_policy_stays_as_it_was() -> None:
    free, frozen = make_policy("exp3"), make_policy("frozen-2:exp3")
    for policy in (free, frozen):
        policy.reset(AGENTS, 3)
    made = [(free.act(observation(seed)), frozen.act(observation(seed))) for seed in range(3)]
    np.testing.assert_array_equal(made[1][0], made[1][1])
    np.testing.assert_array_equal(made[1][1], made[2][1])
    assert (made[2][0] != made[2][1]).any()
    again = make_policy("frozen-2:exp3")
    again.reset(AGENTS, 3)
    again.load_state_dict(frozen.state_dict())
    np.testing.assert_array_equal(again.act(observation(9)), made[2][1])
    assert again.name == "frozen-2:exp3"


def test_a_sure_policy_is_natural_where_the_rule_lift_selects_nothing() -> None:
    inner, sure, lift = make_policy("exp3"), make_policy("sure:exp3"), make_policy("lift")
    for policy in (inner, sure):
        policy.reset(AGENTS, 3)
    stopped = list[bool]()
    for seed in range(12):
        seen = observation(seed)
        wanted, nothing = inner.act(seen), lift.act(seen)[:, 0] == 1
        wanted[nothing] = make_policy("natural").act(seen)[nothing]
        np.testing.assert_array_equal(sure.act(seen), wanted)
        stopped.append(nothing[0])
    assert True in stopped
    assert False in stopped
    again = make_policy("sure:exp3")
    again.reset(AGENTS, 3)
    again.load_state_dict(sure.state_dict())
    np.testing.assert_array_equal(again.act(observation(9)), sure.act(observation(9)))
    assert again.name == "sure:exp3"


def test_ridge_is_a_softmax_of_coefficients() -> None:
    seen = observation()
    odds = np.exp(feature(seen, "ridge") / 0.5)
    weights = make_policy("ridge:temperature=0.5,strength=0.4").act(seen)
    np.testing.assert_allclose(weights[0, 1:], 0.4 * odds[0, 1:] / odds[0, 1:].sum())


def test_exp3_moves_to_what_pays_and_keeps_exploring() -> None:
    rule, seen = make_policy("exp3:strength=1"), observation()
    rule.reset(AGENTS, 3)
    np.testing.assert_allclose(rule.act(seen)[0], [0, 1 / 3, 1 / 3, 1 / 3])  # eps_1 = 1/K: all of it is exploration
    for _ in range(11):
        weights = rule.act(seen)
    best = int(feature(seen, "paper_reward")[0, 1:].argmax()) + 1
    assert weights[0].argmax() == best
    assert weights[0, 1:].min() >= np.sqrt(np.log(3) / (3 * 12)) - 1e-9
    second = make_policy("exp3:strength=1")
    second.reset(AGENTS, 3)
    second.load_state_dict(rule.state_dict())
    np.testing.assert_array_equal(rule.act(observation(1)), second.act(observation(1)))


def test_paper_rule_follows_equation_8() -> None:
    rule, seen = PaperRule(eta=0.1, strength=1.0), observation()
    rule.reset(AGENTS, 3)
    reward = feature(seen, "paper_reward")[0, 1:]
    expected = np.full(3, 1 / 3) + 0.1 * (reward - reward.mean())
    np.testing.assert_allclose(rule.act(seen)[0, 1:], expected)
    np.testing.assert_allclose(rule.act(seen)[0, 1:], expected + 0.1 * (reward - reward.mean()))


def test_paper_rule_stays_on_the_simplex_when_eta_is_large() -> None:
    rule, seen = PaperRule(eta=100.0, strength=1.0), observation()
    rule.reset(AGENTS, 3)
    for _ in range(20):
        weights = rule.act(seen)
        np.testing.assert_allclose(weights.sum(1), 1)
        assert (weights >= 0).all()
    reward = feature(seen, "paper_reward")[0, 1:]
    np.testing.assert_array_equal(weights[0, 1:] > 0, reward > reward.mean())


def test_paper_rule_goes_on_from_its_state() -> None:
    first, second = PaperRule(), PaperRule()
    for rule in (first, second):
        rule.reset(AGENTS, 3)
    first.act(observation(1))
    second.load_state_dict(first.state_dict())
    np.testing.assert_array_equal(first.act(observation(2)), second.act(observation(2)))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: make_policy("agreemnt"), "unknown policy 'agreemnt'; did you mean 'agreement'?"),
        (lambda: make_policy("qualty", AGENTS), "unknown policy 'qualty'; did you mean 'quality'?"),
        (lambda: make_policy("runs/nowhere"), "no policy at runs/nowhere: give a policy's folder"),
        (lambda: make_policy("only:dmain").reset(AGENTS, 1), "no agent 'dmain' here; did you mean 'domain'?"),
        (lambda: Agreement(temperature=0), "temperature is 0"),
        (lambda: PaperRule(strength=1.5), "strength is 1.5"),
        (lambda: PaperRule(eta=float("nan")), "eta is nan"),
        (lambda: PaperRule().act(observation()), "paper-rule was reset for"),
        (lambda: make_policy("agreement:temprature=1"), "no setting 'temprature'; did you mean 'temperature'?"),
        (lambda: make_policy("agreement:strength"), "strength is '', expected a number"),
        (lambda: make_policy("constant:strength=0.3"), "shares are {}"),
        (lambda: make_policy("constant:mtch=1").reset(AGENTS, 1), "no agent or family 'mtch' here"),
        (lambda: make_policy("exp3:rate=-1"), "rate -1"),
        (lambda: make_policy("frozen-0:exp3"), "frozen after 0 decisions"),
        (lambda: make_policy(""), "unknown policy ''"),
        (lambda: check_names(("runs/c#1",)), "a policy is called 'c#1', expected no #"),
        (lambda: make_policy("natural:strength=1"), "no setting 'strength'; it has none"),
    ],
)
def test_bad_input_is_told_in_one_line(make: object, expected: str) -> None:
    with pytest.raises(InputError) as error:
        make()  # type: ignore[operator]
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_rules_take_settings_by_name() -> None:
    assert make_policy("agreement:temperature=0.2,strength=0.4") == Agreement(0.2, 0.4)
    rule = make_policy("paper-rule:eta=1")
    assert isinstance(rule, PaperRule)
    assert (rule.eta, rule.strength) == (1, PaperRule().strength)


def test_a_policy_without_memory_has_no_state() -> None:
    policy: Policy = make_policy("natural")
    assert policy.state_dict() == {}


def test_what_is_not_a_number_does_not_become_natural() -> None:
    mixed = mix(0.3, np.array([[0.0, np.nan, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 1.0]]), np.ones((3, 3), bool))
    assert np.isnan(mixed[0]).any()
    np.testing.assert_allclose(mixed[1:], [[1, 0, 0], [0.7, 0.15, 0.15]])
