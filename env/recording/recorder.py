"""The records of the runs of an episode in the making, slot by slot, and where they go once they are whole."""

from collections.abc import Callable
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cells.category_sums import category_sums
from ..episode import Episode, Outcome
from ..scenarios.scenario import Scenario

Json = dict[str, Any]


class Recorder:
    """`begin` and `step` follow the episode's own; `write` gets the objects of the episodes that a step ended. It only
    looks: no number depends on it. A run is recorded from its beginning or not at all."""

    def __init__(self, write: Callable[[list[Json]], None]) -> None:
        self._write = write
        self._partial: dict[int, Json] = {}  # by slot, as JSON
        self._mark: dict[int, float] = {}  # the clock's reading when `wall_s` was last added to

    def begin(
        self,
        episode: Episode,
        slots: list[int],
        pairs: list[tuple[int, int]],
        scenarios: list[Scenario],
        num_visible: int,
        begun: float,
    ) -> None:
        """Just after `Episode.begin` with the same slots and scenarios. pairs: group and number of each; slots from
        `num_visible` on are controls; begun: the clock's reading before."""
        drawn = _drawn(episode, slots)
        for place, (slot, (group, number), scenario) in enumerate(zip(slots, pairs, scenarios, strict=True)):
            control = slot >= num_visible
            self._mark[slot] = begun
            self._partial[slot] = {
                "seed": int(episode.seed_N[slot]),
                "group": group,
                "number": number,
                "control": control,
                "scenario": scenario.as_json(),
                "actions": None if control else [],
                "weights": [],
                "loss": [_or_null(episode.losses_4N[3, slot])],
                "by_task": [],
                "train_loss": [],
                "tokens": [int(episode.tokens_N[slot])],
                "drawn": {column: [shares[place].tolist()] for column, shares in drawn.items()},
                "diverged": False,
                "wall_s": 0.0,
            }

    def step(
        self,
        episode: Episode,
        outcome: Outcome,
        active_N: NDArray[np.bool_],
        actions: NDArray[np.float64] | None = None,
    ) -> None:
        """Just after `Episode.step` with the same `active_N`. actions: (visible, K)."""
        slots = [int(slot) for slot in np.flatnonzero(active_N) if slot in self._partial]
        drawn, ended, now = _drawn(episode, slots), [], perf_counter()
        for place, slot in enumerate(slots):
            partial = self._partial[slot]
            if partial["actions"] is not None:
                assert actions is not None
                partial["actions"].append(actions[slot].tolist())
            partial["weights"].append(episode.weights_NK[slot].tolist())
            partial["loss"].append(_or_null(outcome.loss_N[slot]))
            partial["by_task"].append([_or_null(loss) for loss in outcome.by_task_NT[slot]])
            partial["train_loss"].append(_or_null(outcome.train_loss_N[slot]))
            partial["tokens"].append(int(outcome.tokens_N[slot]))
            for column, shares in drawn.items():
                partial["drawn"][column].append(shares[place].tolist())
            partial["diverged"] = bool(outcome.diverged_N[slot])
            partial["wall_s"] += now - self._mark[slot]
            self._mark[slot] = now
            if outcome.done_N[slot]:
                ended.append(self._partial.pop(slot))
        if ended:
            time = datetime.now(UTC).isoformat(timespec="seconds")
            self._write([{**partial, "time": time} for partial in ended])

    def state(self) -> Any:
        """Of the runs in the making, for `json.dumps`."""
        return [[slot, partial] for slot, partial in self._partial.items()]

    def load_state(self, state: Any) -> None:
        """Go on from what `state` gave; with None, of an environment that did not record, those runs are left out."""
        self._partial = dict(state or ())
        self._mark = dict.fromkeys(self._partial, perf_counter())


def _drawn(episode: Episode, slots: list[int]) -> dict[str, NDArray[np.float64]]:
    """By label column, each category's share of the mixture in force, (len(slots), categories)."""
    task, shares = episode.task, episode.shares_NC[slots]
    return {
        name: category_sums(np.broadcast_to(labels_C, shares.shape), shares, len(labels.names))
        for (name, labels), labels_C in zip(task.layout.columns.items(), task.cells.labels_CA.T, strict=True)
    }


def _or_null(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
