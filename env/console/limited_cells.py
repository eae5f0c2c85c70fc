"""What hard limits mean for the cells of a pool: linear bounds on tokens, and whether the rest of a run can keep them.

Cells that the same limits are about form a group. Only how many windows each of the B groups gives matters to the M
limits. Arrays over limits and groups have no suffix; their docstrings give the shape.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...lm.corpus.corpus import Labels
from ..cells.index import CellIndex
from .limits import EPOCHS, Limit

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
LEEWAY = 0.1  # of the remaining tokens: how far inside its bound a plan keeps away from each limit, if it can


@dataclass(frozen=True)
class Progress:
    """How far a run is. used_C: windows drawn of each cell; drawn_C: their tokens, (C,); windows_left: of the run."""

    used_C: Counts
    drawn_C: Counts
    windows_left: int

    def after(self, count_C: Counts, tokens_C: Counts) -> "Progress":
        """When so many windows of each cell, of so many tokens, have been drawn as well."""
        return Progress(self.used_C + count_C, self.drawn_C + tokens_C, self.windows_left - int(count_C.sum()))


class LimitedCells:
    """Limits on the cells of one pool. group_C: the group of each cell; inside: (M, B) bool, which groups a limit is
    about; most_C: how often at most each cell is drawn from; most_tokens: (M,), of the limit's category, infinite for a
    share; share: (M,), 0 for epochs."""

    def __init__(
        self, limits: Sequence[Limit], columns: Mapping[str, Labels], cells: CellIndex, pool_C: Counts, context: int
    ) -> None:
        self.limits, self.cells, self.pool_C, self.context = tuple(limits), cells, pool_C, context
        names = list(columns)
        self.member = np.stack(  # (M, C)
            [
                cells.labels_CA[:, names.index(limit.label)] == columns[limit.label].names.index(limit.category)
                for limit in limits
            ]
        )
        self.inside, self.group_C = np.unique(self.member, axis=1, return_inverse=True)
        self.group_C = self.group_C.reshape(-1)
        self.caps = np.array([limit.kind == EPOCHS for limit in limits])  # (M,)
        number = np.array([limit.number for limit in limits])
        self.whole = self.caps & (number % 1 == 0)  # epochs that most_C alone keeps, with nothing to round, (M,)
        self.share = np.where(self.caps, 0.0, number)
        self.pool_tokens = np.rint(self.member @ (pool_C * cells.window_tokens_C))  # of each limit's category, (M,)
        self.most_tokens = np.where(self.caps, number * self.pool_tokens, np.inf)
        each = np.where(self.member & self.caps[:, None], np.ceil(number)[:, None] * pool_C, np.inf)
        self.most_C = each.min(axis=0)

    def bounds(self, drawn_C: Counts) -> tuple[Array, Array]:
        """Each limit as `coefficient @ tokens of groups drawn from now on <= bound`: (M, B) and (M,)."""
        spent = self.member @ drawn_C.astype(np.float64)
        coefficient = np.where(self.caps[:, None], self.inside, self.share[:, None] - self.inside)
        return coefficient, np.where(self.caps, self.most_tokens - spent, spent - self.share * drawn_C.sum())

    def sums(self, value_C: NDArray) -> Array:
        """Sums over the cells of each group, (B,)."""
        return np.asarray(np.bincount(self.group_C, value_C, self.inside.shape[1]), np.float64)

    def room(self, used_C: Counts) -> Array:
        """How often each cell may still be drawn from, (C,)."""
        return np.maximum(self.most_C - used_C, 0.0)

    def steady(self, used_C: Counts) -> Array:
        """A mixture within each group that can go on to the group's end, (C,): the room that is left, or the pool."""
        room_C = self.room(used_C)
        return np.where(np.isfinite(room_C), room_C, self.pool_C)

    def plan(self, at: Progress, margin: float) -> Array | None:
        """Windows of each group, (B,), that use up the rest of the run and keep every limit by `margin` windows at
        least, and by more where there is room; None if there are none. A linear programme, in units of the rest."""
        from scipy.optimize import linprog

        steady_C, left = self.steady(at.used_C), float(at.windows_left)
        # A group that is used up gives no windows, whatever their length.
        window_tokens = self.sums(steady_C * self.cells.window_tokens_C) / np.maximum(self.sums(steady_C), 1e-300)
        coefficient, bound = self.bounds(at.drawn_C)
        bound = bound / self.context
        spare = np.where(self.caps, np.minimum(np.maximum(bound, 0), margin), margin)
        spare[self.whole] = 0.0
        bound = (bound - spare) / left
        leeway = np.where(self.caps, np.clip(bound, 0, LEEWAY), LEEWAY)
        room = np.minimum(self.sums(np.minimum(self.room(at.used_C), left)) / left, 1.0)
        found = linprog(
            np.append(np.zeros(len(room)), -1.0),
            A_ub=np.column_stack([coefficient * window_tokens / self.context, leeway]),
            b_ub=bound,
            A_eq=np.append(np.ones(len(room)), 0.0)[None],
            b_eq=[1.0],
            bounds=[*((0.0, most) for most in room), (0.0, 1.0)],
            method="highs",
        )
        return np.asarray(found.x[:-1] * left) if found.success else None

    def closest(self, wish_C: Array, at: Progress, count: int) -> Array:
        """Windows of each cell in the coming `count`, (C,), not whole: of all that keep the limits, as far as they can
        be kept, those with the least Kullback-Leibler divergence from `wish_C` windows."""
        room_C = self.room(at.used_C)
        wish = self.sums(wish_C)
        tokens = self.sums(wish_C * self.cells.window_tokens_C) / np.maximum(wish, 1e-300)
        coefficient, bound = self.bounds(at.drawn_C)
        room = self.sums(np.minimum(room_C, 2.0 * count))
        few = np.flatnonzero(room < count)
        rows = np.concatenate([coefficient * tokens / self.context, np.eye(len(wish))[few]])
        bounds = np.concatenate([bound / self.context, room[few]]) / count
        return _filled(wish_C, least_divergence(wish / wish.sum(), rows, bounds) * count, self.group_C, room_C)


def least_divergence(wish: Array, rows: Array, bounds: Array) -> Array:
    """The distribution (B,) with rows @ p <= bounds that has the least Kullback-Leibler divergence from `wish` (B,).

    p = wish * exp(-rows.T @ price) / sum, with prices (one a row, from 0 up) that minimise the convex dual
    log sum wish * exp(-rows.T @ price) + bounds @ price. Where nothing keeps all rows, some p of large prices."""
    if (rows @ wish <= bounds).all():
        return wish
    from scipy.optimize import minimize

    with np.errstate(divide="ignore"):
        log_wish = np.log(wish)

    def tilted(price: Array) -> tuple[Array, float]:
        logits = log_wish - price @ rows
        weight = np.exp(logits - logits.max())
        return weight / weight.sum(), float(logits.max() + np.log(weight.sum()))

    def dual(price: Array) -> tuple[float, Array]:
        share, log_sum = tilted(price)
        return log_sum + float(bounds @ price), bounds - rows @ share

    found = minimize(
        dual,
        np.zeros(len(bounds)),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, 100.0)] * len(bounds),
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 1000},
    )
    return tilted(found.x)[0]


def _filled(wish_C: Array, total: Array, group_C: NDArray[np.intp], room_C: Array) -> Array:
    """Windows of each cell that add up to each group's `total` (B,), in proportion to `wish_C`, none above its room."""
    filled_C, full_C = np.zeros(len(wish_C)), np.zeros(len(wish_C), bool)
    while True:
        rest = total - np.bincount(group_C, np.where(full_C, room_C, 0.0), len(total))
        free = np.bincount(group_C, np.where(full_C, 0.0, wish_C), len(total))
        factor = np.maximum(rest, 0.0) / np.maximum(free, 1e-300)
        filled_C = np.where(full_C, room_C, wish_C * factor[group_C])
        over_C = (filled_C > room_C) & ~full_C
        if not over_C.any():
            return filled_C
        full_C |= over_C
