"""A finished episode: all that it takes to run it again, and what came of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...lm.io import json_schema as schema
from ...lm.io.errors import InputError
from ..console.weights import check_weights
from ..scenarios.scenario import Scenario
from .config_record import ConfigRecord

Array = NDArray[np.float64]

_CHECK = schema.record(
    {
        "kind": schema.one_of("episode"),
        "config": schema.text,
        **dict.fromkeys(("seed", "group", "number"), schema.natural),
        "control": schema.flag,
        "scenario": schema.anything,
        "actions": schema.anything,
        "weights": schema.items(schema.anything),
        **dict.fromkeys(("loss", "by_task", "train_loss"), schema.anything),
        "tokens": schema.items(schema.natural),
        "drawn": schema.anything,
        "diverged": schema.flag,
        "wall_s": schema.number,
        "time": schema.text,
    }
)


@dataclass(frozen=True)
class EpisodeRecord:
    """Of I intervals, as many as the setting has, or fewer if it diverged. NaN: not finite, or not in play.

    config: the hash of its config; seed: of the run; group and number: its place in the environment; control: the
    twin under natural, which has no actions; weights_IK: in force; loss_J: (1 + I,) of the scenario's mixture on the
    validation half, at the start and after each interval, nats per token; by_task_IT: its parts after each;
    train_loss_I: nats per token; tokens_J: (1 + I,) spent so far; drawn: by label column (1 + I, categories), each
    category's share of the mixture in force in the warm-up and in each interval; wall_s: seconds from begin to end,
    shared with the runs beside it; time: of its end, ISO 8601 in UTC."""

    config: str
    seed: int
    group: int
    number: int
    control: bool
    scenario: Scenario
    actions_IK: Array | None
    weights_IK: Array
    loss_J: Array
    by_task_IT: Array
    train_loss_I: Array
    tokens_J: NDArray[np.int64]
    drawn: dict[str, Array]
    diverged: bool
    wall_s: float
    time: str

    @property
    def num_intervals(self) -> int:
        """I."""
        return len(self.weights_IK)

    @classmethod
    def from_json(cls, value: Any, where: str, configs: dict[str, ConfigRecord]) -> "EpisodeRecord":
        """The episode in a line's object. InputError: a key, type, shape or number is wrong, or its config is none of
        `configs`."""
        _CHECK(value, where)
        if value["config"] not in configs:
            raise InputError(f"{where} names a config that no line before it holds: restore that line")
        config = configs[value["config"]]
        intervals, num_agents = _checked_length(value, where, config), len(config.agents)

        def read(name: str, *shape: int, null: bool = False) -> Array:
            return schema.floats(value[name], shape, f"{where}.{name}", null)

        weights_IK = read("weights", intervals, num_agents)
        _check_weights_and_tokens(weights_IK, value["tokens"], where)
        schema.record(dict.fromkeys(config.columns, schema.anything))(value["drawn"], f"{where}.drawn")
        as_they_are = ("config", "seed", "group", "number", "control", "diverged", "wall_s", "time")
        return cls(
            **{name: value[name] for name in as_they_are},
            scenario=Scenario.from_json(value["scenario"], f"{where}.scenario"),
            actions_IK=None if value["control"] else read("actions", intervals, num_agents),
            weights_IK=weights_IK,
            loss_J=read("loss", 1 + intervals, null=True),
            by_task_IT=read("by_task", intervals, len(config.tasks), null=True),
            train_loss_I=read("train_loss", intervals, null=True),
            tokens_J=np.array(value["tokens"], np.int64),
            drawn={
                name: schema.floats(value["drawn"][name], (1 + intervals, len(names)), f"{where}.drawn.{name}")
                for name, names in config.columns.items()
            },
        )


def _checked_length(value: dict[str, Any], where: str, config: ConfigRecord) -> int:
    """Intervals of the episode, after a look at all that hangs on them."""
    whole, intervals = config.setting.episode.num_intervals, len(value["weights"])
    if not (intervals == whole or (1 <= intervals < whole and value["diverged"])):
        raise InputError(f"{where}.weights is of {intervals} intervals, expected {whole}, or fewer if it diverged")
    if (value["actions"] is None) != value["control"]:
        raise InputError(f"{where}.actions is null or not, expected null for a control and actions for all others")
    if len(value["tokens"]) != 1 + intervals:
        raise InputError(f"{where}.tokens is a list of {len(value['tokens'])}, expected {1 + intervals}")
    try:
        utc = datetime.fromisoformat(value["time"]).utcoffset()
    except ValueError:
        utc = None
    if utc is None:
        raise InputError(f"{where}.time is {value['time'][:80]!r}, expected ISO 8601 with its offset from UTC")
    return intervals


def _check_weights_and_tokens(weights_IK: Array, tokens_J: list[int], where: str) -> None:
    if (np.diff(np.array(tokens_J, np.int64)) < 0).any():
        raise InputError(f"{where}.tokens falls, expected the tokens spent so far")
    try:
        check_weights(weights_IK, np.ones(weights_IK.shape, bool))
    except InputError as error:
        raise InputError(f"{where}.weights: {error}") from None
