"""Gains, intervals and speed-ups, checked against closed forms and hand-worked cases."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretraingym.experiments.analysis.statistics import Gain, paired_gain, speedup


def by_seed(*losses: float) -> dict[int, float]:
    return dict(enumerate(losses))


def power_law(tokens: float) -> float:
    """Loss that is linear in log tokens, so that interpolation has no error."""
    return 3.0 - 0.2 * math.log(tokens)


LADDER = [(tokens, power_law(tokens)) for tokens in (50.0, 100.0, 200.0, 400.0)]


def test_two_seeds_give_the_cauchy_quantile() -> None:
    # One degree of freedom is the Cauchy distribution, whose quantile is a tangent.
    gain = paired_gain(by_seed(1.0, 1.2), by_seed(1.1, 1.5))
    assert gain.nats == pytest.approx(0.2)
    assert gain.sd == pytest.approx(0.2 / math.sqrt(2))
    half = math.tan(math.pi * 0.475) * gain.sd / math.sqrt(2)
    assert gain.ci95 == pytest.approx((0.2 - half, 0.2 + half))


def test_three_seeds_give_the_quantile_of_two_degrees_of_freedom() -> None:
    # Two degrees of freedom: t = a * sqrt(2 / (1 - a^2)) with a = 2p - 1.
    gain = paired_gain(by_seed(2.0, 2.0, 2.0), by_seed(2.1, 2.2, 2.3))
    half = 0.95 * math.sqrt(2 / (1 - 0.95**2)) * 0.1 / math.sqrt(3)
    assert gain.ci95 == pytest.approx((0.2 - half, 0.2 + half))


def test_pairing_removes_what_seeds_share() -> None:
    shared = np.random.default_rng(0).normal(size=5)
    gain = paired_gain(by_seed(*(2.0 + shared)), by_seed(*(2.1 + shared)))
    assert gain.sd == pytest.approx(0, abs=1e-12)
    assert gain.nats == pytest.approx(0.1)


def test_seeds_are_paired_by_name_not_by_order() -> None:
    assert paired_gain({0: 1.0, 1: 2.0}, {1: 2.5, 0: 1.5}).sd == 0


def test_one_seed_has_no_interval() -> None:
    assert paired_gain(by_seed(1.0), by_seed(1.5)) == Gain(0.5, None, None)


@pytest.mark.parametrize("rival", [{}, {0: 1.0}, {0: 1.0, 2: 1.0}])
def test_seeds_that_differ_are_refused(rival: dict[int, float]) -> None:
    with pytest.raises(ValueError, match="same seeds on both sides"):
        paired_gain({0: 1.0, 1: 1.0}, rival)


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [((0.1, 0.3), "better"), ((-0.1, 0.5), "undecided"), ((0.0, 0.4), "undecided"), (None, "undecided")],
)
def test_verdict(interval: tuple[float, float] | None, verdict: str) -> None:
    assert Gain(0.2, 0.1, interval).verdict == verdict


def test_verdict_worse() -> None:
    assert Gain(-0.2, 0.1, (-0.3, -0.1)).verdict == "worse"


@given(st.floats(50, 400), st.floats(10, 1000))
def test_speedup_inverts_the_law_it_was_given(natural: float, tokens: float) -> None:
    found = speedup(power_law(natural), tokens, LADDER)
    assert found.factor == pytest.approx(natural / tokens)


@pytest.mark.parametrize("rung", LADDER)
def test_natural_is_as_fast_as_itself(rung: tuple[float, float]) -> None:
    found = speedup(rung[1], rung[0], LADDER)
    assert (found.factor, found.is_lower_bound, found.is_upper_bound) == (1.0, False, False)


def test_beyond_the_ladder_only_a_bound_is_known() -> None:
    best, worst = speedup(power_law(900), 100, LADDER), speedup(power_law(20), 100, LADDER)
    assert (best.factor, best.is_lower_bound, best.is_upper_bound) == (4.0, True, False)
    assert (worst.factor, worst.is_lower_bound, worst.is_upper_bound) == (0.5, False, True)


def test_a_rung_that_did_not_help_gives_natural_no_more_tokens() -> None:
    ladder = [(100.0, 2.0), (200.0, 2.1), (400.0, 1.8)]
    assert speedup(2.0, 100, ladder).factor == 1.0
    assert speedup(2.05, 100, ladder).is_upper_bound
    # 200 tokens count as 2.0, so 1.9 lies half way, in log tokens, between 200 and 400.
    assert speedup(1.9, 100, ladder).factor == pytest.approx(2 * math.sqrt(2))


def test_a_worse_last_rung_still_bounds_from_below() -> None:
    found = speedup(1.9, 100, [(100.0, 2.0), (200.0, 2.2)])
    assert (found.factor, found.is_lower_bound) == (2.0, True)


@given(st.lists(st.floats(1, 4), min_size=1, max_size=5), st.floats(0.5, 5), st.floats(0.5, 5))
def test_a_lower_loss_is_never_slower(losses: list[float], first: float, second: float) -> None:
    ladder = [(100.0 * 2**rung, loss) for rung, loss in enumerate(losses)]
    low, high = sorted((first, second))
    assert speedup(low, 100, ladder).factor >= speedup(high, 100, ladder).factor * (1 - 1e-12)


@pytest.mark.parametrize(
    ("loss", "tokens", "ladder"),
    [
        (math.nan, 1.0, LADDER),
        (2.0, 0.0, LADDER),
        (2.0, 1.0, []),
        (2.0, 1.0, [(0.0, 2.0)]),
        (2.0, 1.0, [(1.0, math.inf)]),
    ],
)
def test_useless_numbers_are_refused(loss: float, tokens: float, ladder: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="finite losses and positive tokens"):
        speedup(loss, tokens, ladder)
