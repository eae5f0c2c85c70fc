"""The table of finished targets, checked against hand-worked cases."""

import pytest

from pretraingym.experiments.analysis.statistics import Speedup
from pretraingym.experiments.analysis.target_table import losses_by_seed, natural_ladder, target_table


def final(policy: str, seed: int, prose: float, code: float, tokens: float = 100) -> dict[str, object]:
    record = {"policy": policy, "seed": seed, "tokens": tokens, "test_loss_nats": {"prose": prose, "code": code}}
    return record | {"test_bits_per_byte": {"prose": prose / 2, "code": code}}


FINALS = [
    final("natural", 0, 2.2, 1.8),
    final("natural", 1, 2.3, 1.9),
    final("learned", 0, 2.0, 1.8),
    final("learned", 1, 2.1, 1.7),
]
RUNGS = [final("natural", seed, 2.4 - 0.1 * rung, 2.0, 50.0 * 2**rung) for seed in (0, 1) for rung in (0, 2, 3)]


def test_the_table_puts_it_together() -> None:
    assert losses_by_seed(FINALS)["learned"] == pytest.approx({0: 1.9, 1: 1.9})
    table = target_table(FINALS, RUNGS)
    learned = table["learned"]
    assert learned.test_loss_mean == pytest.approx(1.9)
    assert learned.test_bits_per_byte == pytest.approx((1.025 + 1.75) / 2)
    assert learned.test_loss_by_task == pytest.approx({"prose": 2.05, "code": 1.75})
    assert learned.gain_nats == pytest.approx(0.15)
    assert learned.gain_ci95 is not None
    low, high = learned.gain_ci95
    assert low < 0.15 < high
    assert learned.speedup == Speedup(4.0, is_lower_bound=True)
    assert (table["natural"].speedup, table["natural"].gain_nats) == (Speedup(1.0), 0.0)


def test_a_rung_of_one_seed_is_placed_against_that_seed() -> None:
    # Seed 0 is .05 below the mean of the seeds at the budget: its rung of 200 tokens must not look .05 better for it.
    ladder = natural_ladder(FINALS, [final("natural", 0, 2.0, 1.8, 200)])
    assert ladder == [(100, pytest.approx(2.05)), (200, pytest.approx(1.95))]
    with pytest.raises(ValueError, match="the ladder has seed 7"):
        natural_ladder(FINALS, [final("natural", 7, 2.0, 1.8, 200)])


def test_with_all_seeds_a_rung_is_their_mean() -> None:
    ladder = dict(natural_ladder(FINALS, RUNGS))
    assert ladder == pytest.approx({50: 2.2, 100: 2.05, 200: 2.1, 400: 2.05})


def test_without_natural_nothing_is_claimed() -> None:
    alone = target_table([final("learned", 0, 2.0, 1.8)], [])["learned"]
    known = {name for name, value in vars(alone).items() if value is not None}
    assert known == {"test_loss_mean", "test_loss_by_task", "test_bits_per_byte"}
