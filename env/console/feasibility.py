"""Whether hard limits can be kept at all, found before a run begins; if not, why not, in one line."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ...lm.corpus.corpus import Labels
from ...lm.io.errors import InputError
from ..cells.index import CellIndex
from .limited_cells import Counts, LimitedCells, Progress
from .limits import EPOCHS, SHARE, Limit

SPARE = 4.0  # windows by which a run must be able to keep every limit: twice what it holds back for rounding
STEPS = 30  # of the search for how much would be possible


def check_limits(
    limits: Sequence[Limit],
    columns: Mapping[str, Labels],
    cells: CellIndex,
    pool_C: Counts,
    context: int,
    num_windows: int,
) -> None:
    """InputError: no run of `num_windows` windows from this pool keeps these limits with a few windows to spare. It
    names the fewest limits that do not go together, and the arithmetic."""

    def possible(some: Sequence[Limit], windows: int = num_windows) -> bool:
        if not some:
            return True
        none_C = np.zeros(cells.num_cells, np.int64)
        limited = LimitedCells(some, columns, cells, pool_C, context)
        return limited.plan(Progress(none_C, none_C, windows), SPARE) is not None

    if possible(limits):
        return
    fewest = list(limits)
    for limit in limits:
        rest = [other for other in fewest if other is not limit]
        if not possible(rest):
            fewest = rest
    tokens = num_windows * context
    limited = LimitedCells(fewest, columns, cells, pool_C, context)
    told = "; ".join(_told(limit, tokens, int(own)) for limit, own in zip(fewest, limited.pool_tokens, strict=True))
    names = ", ".join(f"--{limit}" for limit in fewest)
    raise InputError(f"no run of {tokens:,} tokens can keep {names}: {told}; {_most(fewest, possible, num_windows)}")


def limit_lines(limits: Sequence[Limit], columns: Mapping[str, Labels], cells: CellIndex, num_tokens: int) -> list[str]:
    """What each limit comes to in a run of `num_tokens` from the whole corpus, a line each."""
    limited = LimitedCells(limits, columns, cells, cells.windows_C, 1)
    return [_told(limit, num_tokens, int(own)) for limit, own in zip(limits, limited.pool_tokens, strict=True)]


def _told(limit: Limit, tokens: int, own: int) -> str:
    """What a limit comes to, of a category with `own` tokens in the pool."""
    if limit.kind == EPOCHS:
        return f"{limit.name} gives at most {limit.number:g} x {own:,} = {limit.number * own:,.0f} tokens"
    needed = limit.number * tokens
    return f"{limit.name} needs {limit.number:g} x {tokens:,} = {needed:,.0f} tokens (the pool has {own:,})"


def _most(fewest: list[Limit], possible: Callable[..., bool], num_windows: int) -> str:
    """How much would be possible, by halving, and what to do."""
    shares = [limit for limit in fewest if limit.kind == SHARE]
    if not shares:
        return _most_windows(lambda windows: possible(fewest, windows), num_windows)
    wanted, others = shares[0], [limit for limit in fewest if limit is not shares[0]]
    low, high = 0.0, wanted.number
    for _ in range(STEPS):
        middle = (low + high) / 2
        fits = possible([*others, Limit(SHARE, wanted.label, wanted.category, middle)])
        low, high = (middle, high) if fits else (low, middle)
    beside = "beside the others " if others else ""
    cure = "lower a share, raise the epochs, or shorten the run" if len(shares) < len(fewest) else "lower a share"
    return f"{beside}{wanted.name} can have a share of {low:.4f} at most, in whole windows: {cure}"


def _most_windows(enough: Callable[[int], bool], num_windows: int) -> str:
    low, high = 0, num_windows
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if enough(middle) else (low, middle)
    return (
        f"with the rest of the pool they allow {low:,} of the run's {num_windows:,} windows: raise the epochs, or "
        "shorten the run"
    )
