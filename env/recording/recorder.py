"""The records of the runs of an episode in the making, slot by slot, and where they go once they are whole."""

from collections.abc import Callable
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...lm.io.state import State, json_as_array, json_in_array
from ..cells.category_sums import category_sums
from ..episode import WARMUP, Interval
from ..scenarios.scenario import Scenario
from ..scenarios.task import Task

Json = dict[str, Any]
NOTHING_RECORDED: State = {"partial": json_as_array([])}  # the state where no recorder is


class Recorder:
    """`begin` comes before the episode's `enter`, `add` after each of its intervals; `write` gets the objects of the
    episodes that an interval ended. No number depends on it. A run is recorded from its beginning or not at all."""

    def __init__(self, task: Task, write: Callable[[list[Json]], None]) -> None:
        self._task = task
        self._write = write
        self._partial: dict[int, Json] = {}  # by slot, as JSON
        self._mark: dict[int, float] = {}  # the clock's reading when `wall_s` was last added to

    def begin(
        self,
        slots: list[int],
        pairs: list[tuple[int, int]],
        scenarios: list[Scenario],
        seeds: list[int],
        num_visible: int,
    ) -> None:
        """Just before those slots enter with these scenarios and seeds. pairs: group and number of each; slots from
        `num_visible` on are controls."""
        now = perf_counter()
        for slot, (group, number), scenario, seed in zip(slots, pairs, scenarios, seeds, strict=True):
            control = slot >= num_visible
            self._mark[slot] = now
            self._partial[slot] = {
                "seed": int(seed),
                "group": group,
                "number": number,
                "control": control,
                "scenario": scenario.as_json(),
                "actions": None if control else [],
                "weights": [],
                "loss": [],
                "by_task": [],
                "train_loss": [],
                "tokens": [],
                "drawn": {column: [] for column in self._task.layout.columns},
                "diverged": False,
                "wall_s": 0.0,
            }

    def add(self, interval: Interval, actions: NDArray[np.float64] | None = None) -> None:
        """An interval of the runs, their warm-up too. actions: (visible, K), of an interval that followed a decision of
        theirs."""
        slots = [int(slot) for slot in np.flatnonzero(interval.active_N) if slot in self._partial]
        drawn, ended, now = self._drawn(interval.shares_NC[slots]), [], perf_counter()
        for place, slot in enumerate(slots):
            partial = self._partial[slot]
            partial["loss"].append(_or_null(interval.loss_N[slot]))
            partial["tokens"].append(int(interval.tokens_N[slot]))
            for column, shares in drawn.items():
                partial["drawn"][column].append(shares[place].tolist())
            partial["wall_s"] += now - self._mark[slot]
            self._mark[slot] = now
            if interval.number_N[slot] == WARMUP:
                continue
            if partial["actions"] is not None:
                assert actions is not None
                partial["actions"].append(actions[slot].tolist())
            partial["weights"].append(interval.weights_NK[slot].tolist())
            partial["by_task"].append([_or_null(loss) for loss in interval.by_task_NT[slot]])
            partial["train_loss"].append(_or_null(interval.train_loss_N[slot]))
            partial["diverged"] = bool(interval.diverged_N[slot])
            if interval.done_N[slot]:
                ended.append(self._partial.pop(slot))
        if ended:
            time = datetime.now(UTC).isoformat(timespec="seconds")
            self._write([{**partial, "time": time} for partial in ended])

    def _drawn(self, shares_NC: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """By label column, each category's share of the mixture in force, (N, categories)."""
        task = self._task
        return {
            name: category_sums(np.broadcast_to(labels_C, shares_NC.shape), shares_NC, len(labels.names))
            for (name, labels), labels_C in zip(task.layout.columns.items(), task.cells.labels_CA.T, strict=True)
        }

    def state_dict(self) -> State:
        """The records of the episodes in the making."""
        return {"partial": json_as_array(list(self._partial.items()))}

    def load_state_dict(self, state: State) -> None:
        """Go on from what `state_dict` gave; from NOTHING_RECORDED the runs in the making are left out."""
        self._partial = dict(json_in_array(state["partial"]))
        self._mark = dict.fromkeys(self._partial, perf_counter())


def _or_null(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
