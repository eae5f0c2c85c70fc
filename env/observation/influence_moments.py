"""What the probes so far say of each agent: moments of scores and of influence, pooled over intervals."""

import numpy as np
from numpy.typing import NDArray

from ...lm.io.state import copies, restore

Array = NDArray[np.float64]


class InfluenceMoments:
    """Weighted second moments of N runs' probes; each earlier probe counts `memory` times as much as the one after it
    (assumed; about five probes count).

    gram_NKK: of the agents' standardised scores; cross_NK: of scores with influence; power_N: of influence; own_N: what
    of that is the windows' own, not their cells'; windows_N: effective number of windows. By reference task, from its
    own gradient: task_cross_NTK, task_square_NTK (of scores) and task_power_NT."""

    _MOMENTS = (
        *("gram_NKK", "cross_NK", "power_N", "own_N", "windows_N"),
        *("task_cross_NTK", "task_square_NTK", "task_power_NT"),
    )

    def __init__(self, num_slots: int, num_agents: int, num_tasks: int, memory: float = 0.8) -> None:
        self.memory = memory
        self.gram_NKK = np.zeros((num_slots, num_agents, num_agents))
        self.cross_NK = np.zeros((num_slots, num_agents))
        self.power_N, self.own_N, self.windows_N = np.zeros((3, num_slots))
        self.task_cross_NTK, self.task_square_NTK = np.zeros((2, num_slots, num_tasks, num_agents))
        self.task_power_NT = np.zeros((num_slots, num_tasks))

    def reset(self, slots: NDArray[np.intp]) -> None:
        for name in self._MOMENTS:
            getattr(self, name)[slots] = 0

    def update(self, z_NKP: Array, influence_NP: Array, share_NP: Array) -> None:
        """Add one probe, whose windows are in the order of their cells. Windows of a run whose influence is not finite
        leave its moments alone."""
        usable = np.logical_and.reduce(np.isfinite(influence_NP), axis=1)
        z = z_NKP - np.einsum("nkp,np->nk", z_NKP, share_NP)[..., None]
        r = np.nan_to_num(influence_NP)
        r = r - np.einsum("np,np->n", r, share_NP)[:, None]
        count = 1 / (share_NP**2).sum(1)  # effective number of windows (Kish)
        weight = share_NP * count[:, None]
        pair = weight[:, 1:] + weight[:, :-1]
        own = (pair * np.diff(r, axis=1) ** 2).sum(1) / 2 / np.maximum(pair.sum(1), 1e-12) * count
        self._add("gram_NKK", (z * weight[:, None]) @ z.transpose(0, 2, 1), usable)
        self._add("cross_NK", np.einsum("nkp,np->nk", z, r * weight), usable)
        self._add("power_N", np.einsum("np,np->n", r, r * weight), usable)
        self._add("own_N", own, usable)
        self._add("windows_N", count, usable)

    def update_tasks(self, z_NKP: Array, influence_NTP: Array, share_NP: Array) -> None:
        """Add what each reference task's own gradient says of some of the probe's windows; NaN: not in play."""
        share = share_NP / share_NP.sum(1, keepdims=True)
        usable = np.logical_and.reduce(np.isfinite(influence_NTP), axis=2)
        z = z_NKP - np.einsum("nks,ns->nk", z_NKP, share)[..., None]
        r = np.nan_to_num(influence_NTP)
        r = r - np.einsum("nts,ns->nt", r, share)[..., None]
        power = np.einsum("nts,ns->nt", r**2, share)
        r /= np.sqrt(np.maximum(power, 1e-30))[..., None]  # so that an interval of steep gradients counts no more
        self._add("task_cross_NTK", np.einsum("nks,nts,ns->ntk", z, r, share), usable)
        self._add("task_square_NTK", np.einsum("nks,ns->nk", z**2, share)[:, None], usable)
        self._add("task_power_NT", (power > 1e-30) * 1.0, usable)

    def _add(self, name: str, increment: Array, usable: NDArray[np.bool_]) -> None:
        moments = getattr(self, name)
        fits = usable.reshape(usable.shape + (1,) * (moments.ndim - usable.ndim))
        setattr(self, name, np.where(fits, self.memory * moments + increment, moments))

    def agreement(self) -> Array:
        """Pooled correlation of each agent's scores with influence -> (N, K), 0 where there is nothing to tell."""
        scale = np.sqrt(np.einsum("nkk->nk", self.gram_NKK) * self.power_N[:, None])
        return np.where(scale > 1e-9, self.cross_NK / np.maximum(scale, 1e-9), 0.0)

    def ceiling(self) -> Array:
        """The largest agreement that scores of cells can have with influence that is so noisy, (N,) in [.2, 1].

        What of influence is a window's own, noise for the most part, is half the mean square difference of neighbours
        in the order of cells (von Neumann 1941), whose scores are nearly the same; the rest is the cells'."""
        own = self.own_N / np.maximum(self.power_N, 1e-12)
        return np.sqrt(np.clip(1 - own, 0.04, 1.0))

    def task_agreement(self) -> Array:
        """Pooled correlation of each agent's scores with the influence on each reference task alone -> (N, T, K), 0
        where there is nothing to tell."""
        scale = np.sqrt(self.task_square_NTK * self.task_power_NT[..., None])
        return np.where(scale > 1e-9, self.task_cross_NTK / np.maximum(scale, 1e-9), 0.0)

    def error(self) -> Array:
        """Standard error of a correlation of zero over the pooled windows -> (N,), 1 before the first probe."""
        return 1 / np.sqrt(np.maximum(self.windows_N - 2, 1.0))

    def ridge(self, shrinkage: float = 0.1) -> Array:
        """Joint regression of influence, in deviations, on all agents' scores -> (N, K). `shrinkage` is in shares of
        the windows (assumed)."""
        num_agents = self.cross_NK.shape[1]
        ridge = (shrinkage * self.windows_N + 1e-9)[:, None, None] * np.eye(num_agents)
        solved = np.linalg.solve(self.gram_NKK + ridge, self.cross_NK[..., None])[..., 0]
        spread = np.sqrt(self.power_N / np.maximum(self.windows_N, 1e-9))
        return solved / np.maximum(spread, 1e-9)[:, None]

    def state_dict(self) -> dict[str, NDArray]:
        return copies(self, self._MOMENTS)

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        restore(self, self._MOMENTS, state)
