"""How the work of an episode went: seconds by part and tokens trained, which no result depends on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

PARTS = ("train", "evaluate", "influence", "select", "observe")


class Stopwatch:
    """seconds: by part; trained_tokens: by all runs together."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.trained_tokens = 0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time what happens inside as that part, one of PARTS."""
        begun = perf_counter()
        yield
        self.seconds[name] += perf_counter() - begun

    @property
    def tokens_per_s(self) -> float:
        """Tokens trained on a second, by all runs together and with everything counted."""
        return self.trained_tokens / max(sum(self.seconds.values()), 1e-9)

    def state_dict(self) -> dict[str, NDArray]:
        return {"trained_tokens": np.array(self.trained_tokens), "seconds": np.array(list(self.seconds.values()))}

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        self.trained_tokens = int(state["trained_tokens"])
        self.seconds = dict(zip(PARTS, map(float, state["seconds"]), strict=True))


def added(watches: Sequence[Stopwatch]) -> Stopwatch:
    """What several have measured together."""
    total = Stopwatch()
    total.trained_tokens = sum(watch.trained_tokens for watch in watches)
    total.seconds = {part: sum(watch.seconds[part] for watch in watches) for part in PARTS}
    return total
