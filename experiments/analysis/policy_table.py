"""The `policies` of a results.json: one row a policy, the same for every command that compares policies."""

from dataclasses import dataclass
from typing import Any

from ...lm.io.errors import InputError
from ...lm.io.typed_json import from_json, mapping, to_json
from .statistics import Gain, Speedup


@dataclass(frozen=True)
class PolicyRow:
    """What is known of one policy; None (null in JSON) where the command does not measure it.

    Losses and gains are nats per token on the test parts, by the scenario's weighting of its reference tasks. Gains
    are over natural, paired by seed or by scenario and seed; positive is better. `gain_ci95`: low and high."""

    test_loss_mean: float
    gain_nats: float | None = None
    gain_ci95: tuple[float, float] | None = None
    gain_sd: float | None = None  # standard deviation between seeds
    win_rate: float | None = None  # share of the scenarios in which the gain is above 0
    speedup: Speedup | None = None
    test_loss_sd: float | None = None  # standard deviation between seeds
    test_loss_by_task: dict[str, float] | None = None
    test_bits_per_byte: float | None = None
    validation_gain_nats: float | None = None
    over: dict[str, Gain] | None = None  # rival -> the gain over it
    gain_by_scenario: tuple[float, ...] | None = None
    gain_by_task: dict[str, float] | None = None  # by the scenarios' main reference task
    all_in: dict[str, tuple[float, ...]] | None = None  # FLOPs of a target over a proxy's -> all-in ratios (charges.py)
    describe: str | None = None  # the policy in words
    policies: int | None = None  # how many, learned alike, share the name

    @property
    def gain(self) -> Gain | None:
        return None if self.gain_nats is None else Gain(self.gain_nats, self.gain_sd, self.gain_ci95)


def table_json(table: dict[str, PolicyRow]) -> dict[str, Any]:
    """The table as it stands in results.json."""
    return {name: to_json(row) for name, row in table.items()}


def read_table(value: Any, where: str) -> dict[str, PolicyRow]:
    """The table that `table_json` made `value` of, lowest test loss first. InputError: it is another; `where` begins
    the line."""
    try:
        mapping(value, where)
        table = {name: from_json(PolicyRow, row, f"{where}.{name}") for name, row in value.items()}
    except InputError as error:
        raise InputError(f"{error}; results of another version cannot be read: run the command again") from None
    return dict(sorted(table.items(), key=lambda item: item[1].test_loss_mean))
