"""The cut of a sequence of windows, counted by hand."""

from dataclasses import replace
from typing import Any

import pytest

from pretraingym.env.datasets.batch_plan import BatchPlan
from pretraingym.lm.io.errors import InputError

PLAN = BatchPlan(batch_windows=8, steps_per_block=3, warmup_steps=2, num_blocks=4)


def test_every_window_of_every_rank_has_its_place() -> None:
    """Rank 1 of 2 has the second half of each step; block 0 has two steps, the others three."""
    ranks = [replace(PLAN, rank=rank, world_size=2, loader_batch=2) for rank in (0, 1)]
    places = [(block, place) for block, steps in enumerate((2, 3, 3, 3)) for place in range(8 * steps)]
    assert ranks[0].num_steps == 11
    for rank, plan in enumerate(ranks):
        own = [place for place in places if place[1] % 8 // 4 == rank]
        assert [plan.locate(index) for index in range(11 * 4)] == own
    assert [PLAN.windows_in(block) for block in range(4)] == [16, 24, 24, 24]
    assert [PLAN.block_at(step) for step in range(11)] == [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert [PLAN.first_step(block) for block in range(4)] == [0, 2, 5, 8]
    even = replace(PLAN, warmup_steps=0, num_blocks=None)
    assert ([even.block_at(step) for step in range(7)], even.num_steps) == ([0, 0, 0, 1, 1, 1, 2], None)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"world_size": 3}, "8 windows do not divide over 3 ranks"),
        ({"loader_batch": 3}, "8 windows do not divide over 1 ranks in batches of 3: give world_size"),
        ({"rank": 2, "world_size": 2}, "rank 2 of 2 given, expected 0 to 1"),
        ({"steps_per_block": 0}, "steps_per_block is 0, expected at least 1"),
        ({"num_blocks": 0}, "num_blocks is 0, expected at least 1"),
        ({"warmup_steps": -1}, "warmup_steps is -1, expected 0 for none"),
    ],
)
def test_what_does_not_fit_is_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        replace(PLAN, **settings)
