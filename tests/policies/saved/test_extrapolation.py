"""What a policy met beyond the ranges of its training: counted, and told in words."""

import numpy as np
import pytest

from pretraingym.policies.saved.extrapolation import MARGIN, Extrapolation


def values(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)


def test_runs_and_decisions_are_counted_and_the_farthest_is_told() -> None:
    met = Extrapolation({"scarcity": (-2.0, 0.0), "progress": (0.0, 1.0), "lift_mean": (0.0, 2.0)})
    inside = {"scarcity": values(-1.0), "progress": values(0.5), "lift_mean": values(0.1, 1.9)}
    for scarcity in (None, 1.0, 3.0, None):
        met.begin()
        for _ in range(2):
            assert not met.look(inside)
            assert met.look(inside | ({} if scarcity is None else {"scarcity": values(scarcity)})) is (
                scarcity is not None
            )
    assert met.counted == "2 of 4 runs (4 of 16 decisions)"
    assert met.told == (
        "scarcity (log10 of tokens left in the budget over tokens of the pool not yet used) is 3, "
        "in its training -2 to 0"
    )
    met.look(inside | {"lift_mean": values(0.1, -9.0)})
    assert met.told.startswith(
        "lift_mean (mean standardised score of the reference tasks' validation documents) is -9,"
    )
    assert met.told.endswith("in its training 0 to 2, and one other feature went too far")


def test_only_what_is_materially_outside_counts() -> None:
    met = Extrapolation({"lift_mean": (0.0, 2.0), "lr_fraction": (0.5, 0.5), "gone": (0.0, 0.0)})
    edge = 2 * (1 + MARGIN)
    assert not met.look({"lift_mean": values(edge - 0.01)})
    assert met.look({"lift_mean": values(edge + 0.01)})
    assert not met.look({"lr_fraction": values(0.55)})  # its range has no width, its usual deviation is .21
    assert met.look({"lr_fraction": values(0.56)})
    assert not met.look({"lift_mean": values()})  # no agent is there
    assert not met.look({"lift_mean": values(np.nan, 1.0)})
    assert met.look({"lift_mean": values(np.nan, 9.0)})


@pytest.mark.parametrize(("side", "value"), [("low", -0.6), ("high", 2.6)])
def test_both_sides_count(side: str, value: float) -> None:
    met = Extrapolation({"lift_mean": (0.0, 2.0)})
    assert met.look({"lift_mean": values(value)}), side
