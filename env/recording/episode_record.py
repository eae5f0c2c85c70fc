"""A finished episode: all that it takes to run it again, and what came of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from ...lm.io.errors import InputError
from ...lm.io.typed_json import Axes, Lengths, Natural, exact_keys, from_json, items, keys_of, natural
from ..console.weights import check_weights
from ..scenarios.scenario import Scenario, as_of_now
from .config_record import ConfigRecord

Array = NDArray[np.float64]
START_AND_I = "1 + I"  # an axis: the start, then each interval


@dataclass(frozen=True)
class EpisodeRecord:
    """An episode of I intervals, as many as the setting has, or fewer if it diverged. NaN: not finite, or not in play.

    config: the hash of its config; seed: of the run; group and number: its place in the environment; control: the
    twin under natural, which has no actions; weights_IK: in force; loss: (1 + I,) of the scenario's mixture on the
    validation part, at the start and after each interval, nats per token; by_task_IT: its parts after each;
    train_loss_I: nats per token; tokens: (1 + I,) spent so far; drawn: by label column (1 + I, categories), each
    category's share of the mixture in force in the warm-up and in each interval; wall_s: seconds from begin to end,
    shared with the runs beside it; time: of its end, ISO 8601 in UTC."""

    config: str
    seed: Natural
    group: Natural
    number: Natural
    control: bool
    scenario: Scenario
    actions_IK: Annotated[Array, Axes(("I", "K"))] | None
    weights_IK: Annotated[Array, Axes(("I", "K"))]
    loss: Annotated[Array, Axes((START_AND_I,), null=True)]
    by_task_IT: Annotated[Array, Axes(("I", "T"), null=True)]
    train_loss_I: Annotated[Array, Axes(("I",), null=True)]
    tokens: Annotated[NDArray[np.int64], Axes((START_AND_I,), each=natural)]
    drawn: dict[str, Annotated[Array, Axes((START_AND_I, "categories"))]]
    diverged: bool
    wall_s: float
    time: str

    def __post_init__(self) -> None:
        if (self.actions_IK is None) != self.control:
            raise InputError("actions is null or not, expected null for a control and actions for all others")
        if (np.diff(self.tokens) < 0).any():
            raise InputError("tokens falls, expected the tokens spent so far")
        try:
            check_weights(self.weights_IK, np.ones(self.weights_IK.shape, bool))
        except InputError as error:
            raise InputError(f"weights: {error}") from None
        try:
            utc = datetime.fromisoformat(self.time).utcoffset()
        except ValueError:
            utc = None
        if utc is None:
            raise InputError(f"time is {self.time[:80]!r}, expected ISO 8601 with its offset from UTC")

    @property
    def num_intervals(self) -> int:
        """I."""
        return len(self.weights_IK)

    @classmethod
    def from_json(cls, value: Any, where: str, configs: dict[str, ConfigRecord]) -> "EpisodeRecord":
        """The episode in a line's object. InputError: a key, type, shape or number is wrong, or its config is none of
        `configs`."""
        exact_keys(value, ["kind", *keys_of(cls)], where)
        named = from_json(str, value["config"], f"{where}.config")
        if named not in configs:
            raise InputError(f"{where} names a config that no line before it holds: restore that line")
        config = configs[named]
        items(value["weights"], f"{where}.weights")
        intervals, whole = len(value["weights"]), config.setting.episode.num_intervals
        diverged = from_json(bool, value["diverged"], f"{where}.diverged")
        if not (intervals == whole or (1 <= intervals < whole and diverged)):
            raise InputError(f"{where}.weights is of {intervals} intervals, expected {whole}, or fewer if it diverged")
        lengths: Lengths = {
            "I": intervals,
            START_AND_I: 1 + intervals,
            "K": len(config.agents),
            "T": len(config.tasks),
            "categories": {name: len(names) for name, names in config.columns.items()},
        }
        content = {key: item for key, item in value.items() if key != "kind"}
        return from_json(cls, content | {"scenario": as_of_now(content["scenario"])}, where, lengths)
