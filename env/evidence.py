"""What the probes so far say of each agent: moments of scores and influence, pooled over intervals."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Evidence:
    """Second moments of standardised scores (N, K, K), of scores with influence (N, K), of influence (N,), and the
    number of windows behind them (N,). Earlier probes fade by `memory` an interval (assumed: about five intervals)."""

    def __init__(self, num_slots: int, num_agents: int, memory: float = 0.8) -> None:
        self.memory = memory
        self.gram_NKK = np.zeros((num_slots, num_agents, num_agents))
        self.cross_NK = np.zeros((num_slots, num_agents))
        self.power_N = np.zeros(num_slots)
        self.windows_N = np.zeros(num_slots)

    def reset(self, slots: NDArray[np.intp]) -> None:
        for moments in (self.gram_NKK, self.cross_NK, self.power_N, self.windows_N):
            moments[slots] = 0

    def update(self, z_NKP: Array, influence_NP: Array, share_NP: Array) -> None:
        """Add one probe. Windows of a run whose influence is not finite leave its moments alone."""
        usable = np.isfinite(influence_NP).all(1)
        z = z_NKP - np.einsum("nkp,np->nk", z_NKP, share_NP)[..., None]
        r = np.nan_to_num(influence_NP)
        r = r - np.einsum("np,np->n", r, share_NP)[:, None]
        count = 1 / (share_NP**2).sum(1)  # effective number of windows (Kish)
        weight = share_NP * count[:, None]
        new = (
            (self.gram_NKK, (z * weight[:, None]) @ z.transpose(0, 2, 1)),
            (self.cross_NK, np.einsum("nkp,np->nk", z, r * weight)),
            (self.power_N, np.einsum("np,np->n", r, r * weight)),
            (self.windows_N, count),
        )
        for moments, increment in new:
            moments[usable] = self.memory * moments[usable] + increment[usable]

    def agreement(self) -> Array:
        """Pooled correlation of each agent's scores with influence -> (N, K), 0 where there is nothing to tell."""
        scale = np.sqrt(np.einsum("nkk->nk", self.gram_NKK) * self.power_N[:, None])
        return np.where(scale > 1e-9, self.cross_NK / np.maximum(scale, 1e-9), 0.0)

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
        return {
            "gram": self.gram_NKK.copy(),
            "cross": self.cross_NK.copy(),
            "power": self.power_N.copy(),
            "windows": self.windows_N.copy(),
        }

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        self.gram_NKK, self.cross_NK = state["gram"].copy(), state["cross"].copy()
        self.power_N, self.windows_N = state["power"].copy(), state["windows"].copy()
