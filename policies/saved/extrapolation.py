"""What a learned policy met beyond the ranges of its training, in words for people."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ...env.observation.features import AGENT_FEATURES, TRAINING_FEATURES

FEATURES = {feature.name: feature for feature in (*AGENT_FEATURES, *TRAINING_FEATURES)}
# How far beyond a range a feature is told of, in widths of the range. A straight line that was fitted to values spread
# evenly over a range errs there with twice the variance that it has at the range's own edge, 1 + 12 d^2 times its
# least at d widths from the middle; nearer than that it is hardly worse than at the edge.
MARGIN = 0.25


class Extrapolation:
    """Counts a policy's runs and decisions, and those in which a feature was beyond its range by more than MARGIN;
    keeps the farthest value of each such feature. A range narrower than the feature's usual deviation counts as that
    wide, so that a feature that hardly moved in training is not always outside. Runs side by side count as one."""

    def __init__(self, ranges: Mapping[str, tuple[float, float]]) -> None:
        self.ranges = {name: limits for name, limits in ranges.items() if name in FEATURES}
        self.runs = self.decisions = self.runs_outside = self.decisions_outside = 0
        self.farthest: dict[str, tuple[float, float]] = {}  # feature -> (widths beyond its range, value)
        self._new = self._inside = True  # whether no decision of this run was counted yet; whether all were inside

    def begin(self) -> None:
        """Another run begins."""
        self._new = self._inside = True

    def look(self, observed: Mapping[str, NDArray[np.float32]]) -> bool:
        """Count a decision on these values by feature -> whether it is outside."""
        outside = False
        for name, (low, high) in self.ranges.items():
            values = observed.get(name, np.zeros(0))
            if not len(values):
                continue
            width = max(high - low, FEATURES[name].typical[1])
            beyond = np.nan_to_num(np.maximum(low - values, values - high) / width)
            at = int(beyond.argmax())
            if beyond[at] > MARGIN:
                outside = True
                self.farthest[name] = max(self.farthest.get(name, (0.0, 0.0)), (float(beyond[at]), float(values[at])))
        self.runs += self._new
        self.decisions += 1
        self.runs_outside += outside and self._inside
        self.decisions_outside += outside
        self._new, self._inside = False, self._inside and not outside
        return outside

    @property
    def counted(self) -> str:
        return f"{self.runs_outside} of {self.runs} runs ({self.decisions_outside} of {self.decisions} decisions)"

    @property
    def told(self) -> str:
        """The feature that was farthest outside: what it is, how far it went and its range; and how many others."""
        (_, value), name = max((far, name) for name, far in self.farthest.items())
        low, high = self.ranges[name]
        count = len(self.farthest) - 1
        others = {0: "", 1: ", and one other feature went too far"}
        more = others.get(count, f", and {count} other features went too far")
        return f"{name} ({FEATURES[name].meaning}) is {value:.3g}, in its training {low:.3g} to {high:.3g}{more}"
